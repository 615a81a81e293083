//! Starts packagers and the server in front of them, and ends them by pid.

use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// Debian's libnginx-mod-rtmp.
const RTMP: &str = "/usr/lib/nginx/modules/ngx_rtmp_module.so";
/// What tokens are signed with.
pub const SECRET: &str = "a-secret-of-nginx";

pub struct Stage {
    folder: TempDir,
    port: u16,
    low_latency: u16,
    ingest: u16,
    ffmpeg: PathBuf,
    children: Vec<Child>,
}

impl Drop for Stage {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn free() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

fn found(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let more = ["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from);
    std::env::split_paths(&path)
        .chain(more)
        .map(|d| d.join(name))
        .find(|p| p.is_file())
}

impl Stage {
    /// `None` where GOHLSLIB is not set, which it says. Who sets it wants the tests to run: then, what is missing is a failure.
    pub fn start() -> Option<Stage> {
        let Some(gohlslib) = std::env::var_os("GOHLSLIB").map(PathBuf::from) else {
            println!("skipped: GOHLSLIB is not set (make packagers)");
            return None;
        };
        assert!(Path::new(RTMP).is_file(), "needs nginx with libnginx-mod-rtmp");
        let ffmpeg = found("ffmpeg").expect("needs ffmpeg");
        let nginx = found("nginx").expect("needs nginx");
        let mut stage = Stage {
            folder: TempDir::new().unwrap(),
            port: free(),
            low_latency: free(),
            ingest: free(),
            ffmpeg: ffmpeg.clone(),
            children: Vec::new(),
        };
        let www = stage.folder.path().join("www");
        for (name, arguments) in formats() {
            let folder = www.join(name);
            fs::create_dir_all(&folder).unwrap();
            let log = fs::File::create(stage.folder.path().join(format!("{name}.log"))).unwrap();
            let child = encoder(&ffmpeg)
                .args(arguments.split(' ').map(|a| a.replace('\u{a0}', " ")))
                .current_dir(&folder)
                .stderr(log)
                .spawn();
            stage.children.push(child.unwrap());
        }
        fs::create_dir_all(www.join("ingest")).unwrap();
        let media = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testkit/media/ts");
        let files = (1..=6).map(|n| media.join(format!("{n}.ts")));
        let child = Command::new(gohlslib)
            .arg(format!("127.0.0.1:{}", stage.low_latency))
            .args(files)
            .stdout(Stdio::null())
            .stderr(fs::File::create(stage.folder.path().join("gohlslib.log")).unwrap())
            .spawn();
        stage.children.push(child.unwrap());
        let configuration = stage.folder.path().join("nginx.conf");
        fs::write(&configuration, stage.nginx()).unwrap();
        let child = Command::new(nginx)
            .arg("-c")
            .arg(&configuration)
            .arg("-e")
            .arg(stage.folder.path().join("nginx.log"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        stage.children.push(child.unwrap());
        Some(stage)
    }

    /// Stops every ffmpeg where it is, or lets it go on.
    pub fn encoders(&self, signal: &str) {
        for child in &self.children[..formats().len()] {
            let sent = Command::new("kill")
                .args([signal, &child.id().to_string()])
                .status();
            assert!(sent.unwrap().success());
        }
    }

    /// Publishes to nginx-rtmp from now on.
    pub fn publish(&mut self) {
        let url = format!("rtmp://127.0.0.1:{}/live/channel", self.ingest);
        let log = fs::File::create(self.folder.path().join("publisher.log")).unwrap();
        let child = encoder(&self.ffmpeg)
            .args(["-f", "flv"])
            .arg(url)
            .stderr(log)
            .spawn();
        self.children.push(child.unwrap());
    }

    fn nginx(&self) -> String {
        let folder = self.folder.path().display();
        let (port, ingest) = (self.port, self.ingest);
        let guard = format!(
            "secure_link $arg_md5,$arg_expires; secure_link_md5 \"$secure_link_expires$uri {SECRET}\"; if ($secure_link = \"\") {{ return 403; }} if ($secure_link = \"0\") {{ return 410; }}"
        );
        let open = "add_header Access-Control-Allow-Origin * always;";
        format!(
            r#"load_module {RTMP}; daemon off; master_process off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/nginx.log;
events {{ worker_connections 256; }}
rtmp {{ server {{ listen 127.0.0.1:{ingest}; application live {{ live on; hls on; hls_path {folder}/www/ingest; hls_fragment 2s; hls_playlist_length 14s; }} }} }}
http {{
  access_log off; default_type video/mp4; sendfile off;
  client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3; uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;
  types {{ application/vnd.apple.mpegurl m3u8; application/dash+xml mpd; application/f4m+xml f4m; video/abst abst; video/mp4 mp4 m4s; video/mp2t ts; text/xml xml; }}
  gzip on; gzip_min_length 1; gzip_types application/vnd.apple.mpegurl application/dash+xml application/f4m+xml text/xml;
  proxy_cache_path {folder}/cache keys_zone=edge:1m max_size=16m;
  proxy_cache edge; proxy_http_version 1.1;
  proxy_hide_header Access-Control-Allow-Origin; proxy_hide_header Cache-Control;
  map $uri $kept {{ ~\.(m3u8|mpd|f4m|abst)$ max-age=1; ~/Manifest$ max-age=1; default max-age=60; }}
  server {{
    listen 127.0.0.1:{port}; root {folder}/www;
    {open} add_header Cache-Control $kept;
    location ~ /Manifest$ {{ default_type text/xml; {open} add_header Cache-Control $kept; }}
    # An edge in front of it: playlists for a second, segments in slices.
    location ~ ^/edge/(.*\.m3u8)$ {{ proxy_pass http://127.0.0.1:{port}/$1; proxy_cache_valid 200 1s; proxy_set_header Accept-Encoding ""; }}
    location ~ ^/edge/(.*)$ {{ slice 16k; proxy_cache_key $uri$slice_range; proxy_set_header Range $slice_range; proxy_cache_valid 200 206 60s; proxy_pass http://127.0.0.1:{port}/$1; }}
    location /secure/ {{ {guard} alias {folder}/www/; {open} add_header Cache-Control $kept; }}
    location ~ ^/leaky/(.*\.m4s)$ {{ alias {folder}/www/$1; {open} }}
    location /leaky/ {{ {guard} alias {folder}/www/; {open} add_header Cache-Control $kept; }}
  }}
}}
"#
        )
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}/{path}", self.port)
    }

    /// Name and URL of each stream.
    pub fn urls(&self) -> Vec<(&'static str, String)> {
        let mut urls: Vec<_> = [
            ("ffmpeg HLS fMP4", "hls/master.m3u8"),
            ("ffmpeg HLS TS", "ts/master.m3u8"),
            ("ffmpeg HLS behind an nginx edge", "edge/hls/master.m3u8"),
            ("ffmpeg DASH", "dash/manifest.mpd"),
            ("ffmpeg Smooth", "smooth/Manifest"),
            ("ffmpeg HDS", "hds/index.f4m"),
        ]
        .map(|(name, path)| (name, self.url(path)))
        .to_vec();
        let low = format!("http://127.0.0.1:{}/index.m3u8", self.low_latency);
        urls.push(("gohlslib LL-HLS", low));
        urls
    }

    /// Waits until every stream has a window, or says what is missing.
    pub async fn ready(&self, limit: Duration) {
        let www = self.folder.path().join("www");
        let files = ["hls", "ts", "dash", "smooth", "hds"];
        let until = Instant::now() + limit;
        loop {
            // Four segments of the slowest are a window.
            let counts: Vec<usize> = files.iter().map(|f| count(&www.join(f))).collect();
            if counts.iter().all(|c| *c >= 12) && self.answers() {
                return;
            }
            if Instant::now() > until {
                let mut logs = String::new();
                for name in files.iter().chain(&["gohlslib", "nginx"]) {
                    let text = fs::read_to_string(self.folder.path().join(format!("{name}.log")));
                    logs += &format!("{name}: {}\n", text.unwrap_or_default());
                }
                panic!("not ready: {files:?} {counts:?}\n{logs}");
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    fn answers(&self) -> bool {
        [self.port, self.low_latency]
            .iter()
            .all(|port| std::net::TcpStream::connect(("127.0.0.1", *port)).is_ok())
    }
}

/// ffmpeg with a picture and a tone, encoded in real time.
fn encoder(ffmpeg: &Path) -> Command {
    let mut command = Command::new(ffmpeg);
    command
        .args(["-nostdin", "-loglevel", "warning"])
        .args(["-re", "-f", "lavfi", "-i", "testsrc2=size=192x108:rate=25"])
        .args(["-re", "-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000"])
        .args("-c:v libx264 -preset ultrafast -profile:v baseline -tune zerolatency -pix_fmt yuv420p -g 50 -keyint_min 50 -sc_threshold 0 -b:v 300k -maxrate 220k -bufsize 220k -c:a aac -b:a 32k".split(' '))
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    command
}

/// Files in a folder and below.
fn count(folder: &Path) -> usize {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|e| if e.path().is_dir() { count(&e.path()) } else { 1 })
        .sum()
}

/// Folder, and ffmpeg's arguments behind the codecs.
fn formats() -> [(&'static str, &'static str); 5] {
    [
        (
            "hls",
            "-map 0:v -map 1:a -f hls -hls_time 2 -hls_list_size 8 -hls_delete_threshold 8 -hls_flags program_date_time+delete_segments+independent_segments+temp_file -hls_segment_type fmp4 -hls_fmp4_init_filename init-%v.mp4 -hls_segment_filename %v-%d.m4s -master_pl_name master.m3u8 -var_stream_map v:0,agroup:a,name:video a:0,agroup:a,default:yes,name:audio %v.m3u8",
        ),
        (
            "ts",
            "-map 0:v -map 1:a -f hls -hls_time 2 -hls_list_size 8 -hls_delete_threshold 8 -hls_flags program_date_time+delete_segments+independent_segments+temp_file -master_pl_name master.m3u8 -hls_segment_filename %d.ts media.m3u8",
        ),
        (
            "dash",
            "-map 0:v -map 1:a -f dash -seg_duration 2 -window_size 8 -extra_window_size 8 -use_timeline 1 -use_template 1 -streaming 0 manifest.mpd",
        ),
        (
            "smooth",
            "-map 0:v -map 1:a -f smoothstreaming -window_size 8 -extra_window_size 8 -lookahead_count 2 -min_frag_duration 2000000 .",
        ),
        (
            "hds",
            "-map 0:v -map 1:a -f hds -window_size 8 -extra_window_size 8 -min_frag_duration 2000000 .",
        ),
    ]
}
