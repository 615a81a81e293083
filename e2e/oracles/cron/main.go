// Golden times by robfig/cron 3.0.1, which Kubernetes uses: one JSON document a line.
//
//	go run . > golden.jsonl
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"math/rand"
	"os"
	"strings"
	"time"
	_ "time/tzdata"

	"github.com/robfig/cron/v3"
)

type row struct {
	Spec  string  `json:"s"`
	Zone  string  `json:"z"`
	After int64   `json:"a"`
	Next  []int64 `json:"n"` // what follows, one after the other; empty: it never comes
	Error bool    `json:"e,omitempty"`
}

var zones = []string{
	"UTC", "Europe/Berlin", "Europe/London", "America/New_York", "America/St_Johns", "America/Sao_Paulo",
	"Asia/Kolkata", "Asia/Kathmandu", "Asia/Beirut", "Asia/Tehran", "Australia/Lord_Howe", "Australia/Adelaide",
	"Pacific/Chatham", "Pacific/Apia", "Africa/Casablanca", "America/Havana", "Pacific/Auckland", "Asia/Gaza",
}

// Around changes of clocks, leap days, ends of years. Not around 30 December 2011 in Apia, a day that never was: there
// robfig/cron 3.0.1 never returns.
var anchors = []string{
	"2024-02-28T22:00:00Z", "2024-03-10T04:00:00Z", "2024-03-30T23:30:00Z", "2024-04-06T13:00:00Z", "2024-10-05T12:00:00Z",
	"2024-10-26T22:30:00Z", "2024-11-03T03:30:00Z", "2024-12-31T20:00:00Z", "2025-02-27T00:00:00Z", "2025-03-08T23:00:00Z",
	"2025-03-29T21:00:00Z", "2025-09-27T10:00:00Z", "2025-10-25T20:00:00Z", "2026-06-15T12:34:56Z",
	"2018-11-03T20:00:00Z", "2023-03-25T20:00:00Z",
}

var fixed = []string{
	"* * * * *", "*/5 * * * *", "0 * * * *", "30 2 * * *", "0 2 * * *", "15 1 * * *", "0 0 * * *", "30 0 * * *", "0 12 * * MON-FRI",
	"0 0 1 * *", "0 0 29 2 *", "0 0 31 * *", "0 0 13 * FRI", "*/15 0-3 * * *", "59 23 31 12 *", "0 3 * * SUN", "5 4 */2 * *",
	"0 0 1,15 * 3", "0 0 */10 * ?", "7/13 */7 * * *", "1-59/2 * * * *", "0 22 * jan-mar,OCT *", "@hourly", "@daily", "@weekly",
	"@monthly", "@yearly", "@annually", "@midnight", "@every 90s", "@every 1h30m", "@every 1.5h", "@every 500ms", "@every 1m0.5s",
	"0 0 30 2 *", "0 1 * * *", "30 1 * * *", "45 2 * * 0", "0 0 * 3 0", "30 23 * * *", "0,30 1,2,3 * * *", "*/30 1-3 * 3,10,11 *",
}

var rejects = []string{
	"", " ", "* * * *", "* * * * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * 32 * *", "* * * 13 *", "* * * 0 *", "* * * * 7",
	"* * * * MONDAY", "*/0 * * * *", "5-1 * * * *", "1-2-3 * * * *", "1/2/3 * * * *", "a * * * *", "-1 * * * *", "@never",
	"@every", "@every x", "@every 1", "@every -", "1,2,x * * * *", "* * * foo *", "*/x * * * *", "0x10 * * * *", "1.5 * * * *",
	"+5 * * * *", "-0 * * * *", ",1,, * * * *", "*-5 * * * *", "?/5 * * * *", "* * * * sun-", "99999999999999999999 * * * *", "@EVERY 1h",
	"@every 1h ", "@Daily", "\t*\t* * * *", "1-5/ * * * *", "@every 0s", "@every -5s", "@every .5h", "@every 1h1h", "@every 1d",
}

func field(r *rand.Rand, low, high int) string {
	switch r.Intn(6) {
	case 0, 1:
		return "*"
	case 2:
		return fmt.Sprintf("*/%d", 1+r.Intn(high-low+3))
	case 3:
		return fmt.Sprint(low + r.Intn(high-low+1))
	case 4:
		a := low + r.Intn(high-low+1)
		return fmt.Sprintf("%d-%d", a, a+r.Intn(high-a+1))
	default:
		var parts []string
		for i := 0; i < 1+r.Intn(3); i++ {
			parts = append(parts, fmt.Sprint(low+r.Intn(high-low+1)))
		}
		return strings.Join(parts, ",")
	}
}

func main() {
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	encoder := json.NewEncoder(out)
	times := 0
	write := func(spec, zone string, after time.Time, many int) {
		location, err := time.LoadLocation(zone)
		if err != nil {
			panic(err)
		}
		schedule, err := cron.ParseStandard(spec)
		found := row{Spec: spec, Zone: zone, After: after.Unix(), Error: err != nil, Next: []int64{}}
		if err == nil {
			at := after.In(location)
			for i := 0; i < many; i++ {
				if at = schedule.Next(at); at.IsZero() {
					break
				}
				found.Next = append(found.Next, at.Unix())
				times++
			}
		}
		if err := encoder.Encode(found); err != nil {
			panic(err)
		}
	}
	for _, spec := range fixed {
		for i, zone := range zones {
			for j, anchor := range anchors {
				if (i+j)%3 != 0 {
					continue
				}
				at, _ := time.Parse(time.RFC3339, anchor)
				write(spec, zone, at, 4)
			}
		}
	}
	r := rand.New(rand.NewSource(7))
	for i := 0; i < 3000; i++ {
		spec := strings.Join([]string{field(r, 0, 59), field(r, 0, 23), field(r, 1, 31), field(r, 1, 12), field(r, 0, 6)}, " ")
		at, _ := time.Parse(time.RFC3339, anchors[r.Intn(len(anchors))])
		write(spec, zones[r.Intn(len(zones))], at.Add(time.Duration(r.Intn(200000))*time.Second), 3)
	}
	for _, spec := range rejects {
		write(spec, "UTC", time.Unix(1700000000, 0), 1)
	}
	fmt.Fprintln(os.Stderr, times, "times")
}
