//! Debian's PostgreSQL, on a port of its own, for one test.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output},
};

/// A server that stops when this is dropped.
pub struct Postgres {
    place: tempfile::TempDir,
    programs: PathBuf,
    user: Option<&'static str>,
    pub port: u16,
}

/// Programs of the newest version that is installed.
fn programs() -> PathBuf {
    let all = fs::read_dir("/usr/lib/postgresql").expect("make unit installs postgresql");
    let newest = all
        .filter_map(|e| e.ok()?.file_name().to_str()?.parse::<u32>().ok())
        .max();
    PathBuf::from(format!("/usr/lib/postgresql/{}/bin", newest.unwrap()))
}

impl Postgres {
    /// One that speaks TLS with a certificate for localhost that `ca.pem` vouches for.
    pub fn start() -> Postgres {
        let place = tempfile::tempdir().unwrap();
        // The server refuses to run as root.
        let root = fs::metadata("/proc/self").is_ok_and(|m| std::os::unix::fs::MetadataExt::uid(&m) == 0);
        let user = root.then_some("postgres");
        fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let mut server = Postgres {
            programs: programs(),
            place,
            user,
            port: 0,
        };
        server.certificates();
        if let Some(user) = user {
            let given = Command::new("chown")
                .args(["-R", user])
                .arg(server.place.path())
                .status();
            assert!(given.unwrap().success());
        }
        let data = server.path("data");
        server.must(
            "initdb",
            &["-D", &data, "-U", "owner", "--auth=trust", "--no-sync"],
        );
        for attempt in 0.. {
            // Whoever else took the port in between is a reason to take another.
            server.port = std::net::TcpListener::bind("127.0.0.1:0")
                .unwrap()
                .local_addr()
                .unwrap()
                .port();
            let (cert, key) = (server.path("cert.pem"), server.path("key.pem"));
            let options = format!(
                "-k {} -p {} -h 127.0.0.1 -c fsync=off -c ssl=on -c ssl_cert_file={cert} -c ssl_key_file={key}",
                server.place.path().display(),
                server.port
            );
            let log = server.path("log");
            let started = server.run(
                "pg_ctl",
                &["-D", &data, "-w", "-l", &log, "-o", &options, "start"],
            );
            if started.status.success() {
                return server;
            }
            assert!(attempt < 3, "{}", fs::read_to_string(&log).unwrap_or_default());
        }
        unreachable!()
    }

    fn certificates(&self) {
        let openssl = |args: &[&str]| {
            let output = Command::new("openssl")
                .args(args)
                .current_dir(self.place.path())
                .output()
                .unwrap();
            assert!(
                output.status.success(),
                "{}",
                String::from_utf8_lossy(&output.stderr)
            );
        };
        let subject = |name: &str| format!("/CN={name}");
        let names = "subjectAltName=DNS:localhost,IP:127.0.0.1";
        openssl(&[
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "2",
            "-subj",
            &subject("test CA"),
            "-keyout",
            "ca.key",
            "-out",
            "ca.pem",
        ]);
        openssl(&[
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "2",
            "-subj",
            &subject("localhost"),
            "-addext",
            names,
            "-addext",
            "basicConstraints=critical,CA:FALSE",
            "-CA",
            "ca.pem",
            "-CAkey",
            "ca.key",
            "-keyout",
            "key.pem",
            "-out",
            "cert.pem",
        ]);
    }

    /// A file of the server's.
    pub fn path(&self, name: &str) -> String {
        self.place.path().join(name).to_str().unwrap().to_owned()
    }

    fn run(&self, program: &str, args: &[&str]) -> Output {
        let program = self.programs.join(program);
        let mut command = match self.user {
            Some(user) => {
                let mut command = Command::new("setpriv");
                command
                    .args(["--reuid", user, "--regid", user, "--init-groups"])
                    .arg(program);
                command
            }
            None => Command::new(program),
        };
        command.args(args).current_dir("/").output().unwrap()
    }

    fn must(&self, program: &str, args: &[&str]) {
        let output = self.run(program, args);
        assert!(
            output.status.success(),
            "{program}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }

    /// Where it is, for a role.
    pub fn url(&self, role: &str) -> String {
        format!("postgresql://{role}@127.0.0.1:{}/postgres", self.port)
    }

    /// What a role is answered: lines of fields; or what it is refused with.
    pub fn ask(&self, role: &str, sql: &str) -> Result<Vec<Vec<String>>, String> {
        let output = Command::new(Path::new(&self.programs).join("psql"))
            .args([
                "-X",
                "-q",
                "-A",
                "-t",
                "-F",
                "\t",
                "-v",
                "ON_ERROR_STOP=1",
                "-c",
                sql,
                &self.url(role),
            ])
            .env("PGTZ", "UTC")
            .output()
            .unwrap();
        match output.status.success() {
            true => Ok(String::from_utf8(output.stdout)
                .unwrap()
                .lines()
                .map(|line| line.split('\t').map(str::to_owned).collect())
                .collect()),
            false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        }
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.run("pg_ctl", &["-D", &self.path("data"), "-m", "immediate", "stop"]);
    }
}
