// A low-latency HLS origin that is not ours: gohlslib's muxer, fed in real time with the TS segments of the
// test media in an endless loop.
//
//	gohlslib ADDRESS FILE.ts...
package main

import (
	"bytes"
	"log"
	"net/http"
	"os"
	"time"

	"github.com/bluenviron/gohlslib/v2"
	"github.com/bluenviron/gohlslib/v2/pkg/codecs"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts"
	mcodecs "github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts/codecs"
)

// One access unit: its time in ticks of 90 kHz since the beginning of the loop.
type unit struct {
	at    int64
	video bool
	data  [][]byte
}

func read(files []string) (units []unit, audio *mcodecs.MPEG4Audio) {
	var all bytes.Buffer
	for _, name := range files {
		content, err := os.ReadFile(name)
		if err != nil {
			log.Fatal(err)
		}
		all.Write(content)
	}
	reader := &mpegts.Reader{R: &all}
	if err := reader.Initialize(); err != nil {
		log.Fatal(err)
	}
	for _, track := range reader.Tracks() {
		switch codec := track.Codec.(type) {
		case *mcodecs.H264:
			reader.OnDataH264(track, func(pts, _ int64, au [][]byte) error {
				units = append(units, unit{pts, true, au})
				return nil
			})
		case *mcodecs.MPEG4Audio:
			audio = codec
			reader.OnDataMPEG4Audio(track, func(pts int64, aus [][]byte) error {
				units = append(units, unit{pts, false, aus})
				return nil
			})
		}
	}
	for reader.Read() == nil {
	}
	return units, audio
}

func main() {
	units, audio := read(os.Args[2:])
	if len(units) == 0 || audio == nil {
		log.Fatal("no video and audio")
	}
	first, last := units[0].at, units[0].at
	for _, u := range units {
		first, last = min(first, u.at), max(last, u.at)
	}
	// Whole segments of two seconds.
	const ticks = 90000
	length := (last - first + 2*ticks - 1) / (2 * ticks) * (2 * ticks)
	video := &gohlslib.Track{Codec: &codecs.H264{}, ClockRate: ticks}
	sound := &gohlslib.Track{Codec: &codecs.MPEG4Audio{Config: audio.Config}, ClockRate: audio.Config.SampleRate}
	muxer := &gohlslib.Muxer{
		Variant:            gohlslib.MuxerVariantLowLatency,
		SegmentCount:       7,
		SegmentMinDuration: time.Second,
		PartMinDuration:    200 * time.Millisecond,
		Tracks:             []*gohlslib.Track{video, sound},
		OnEncodeError:      func(err error) { log.Print(err) },
	}
	if err := muxer.Start(); err != nil {
		log.Fatal(err)
	}
	go func() {
		start := time.Now()
		for loop := int64(0); ; loop++ {
			for _, u := range units {
				pts := u.at - first + loop*length
				due := start.Add(time.Duration(pts) * time.Second / ticks)
				time.Sleep(time.Until(due))
				var err error
				if u.video {
					err = muxer.WriteH264(video, due, pts, u.data)
				} else {
					err = muxer.WriteMPEG4Audio(sound, due, pts*int64(audio.Config.SampleRate)/ticks, u.data)
				}
				if err != nil {
					log.Print(err)
				}
			}
		}
	}()
	handler := func(w http.ResponseWriter, r *http.Request) {
		// Players are pages of other origins.
		w.Header().Set("Access-Control-Allow-Origin", "*")
		muxer.Handle(w, r)
	}
	log.Fatal(http.ListenAndServe(os.Args[1], http.HandlerFunc(handler)))
}
