package main

import (
	"strings"
	"testing"
)

func TestCounters(t *testing.T) {
	text := `# HELP x Something.
# TYPE x counter
x{link="children",node="a"} 3
x{link="children",node="b"} 4.5e+06
x{link="parent",node="a"} 7
x_bucket{le="+Inf"} 1
y 2
`
	samples, err := parseMetrics(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	c := counters{"w": samples, "v": {{"y", "", 1}}}
	everyone := func(string) bool { return true }
	for name, tt := range map[string]struct {
		of     func(string) bool
		metric string
		labels []string
		want   float64
	}{
		"all labels": {everyone, "x", nil, 4500010}, "one label": {everyone, "x", []string{`link="children"`}, 4500003},
		"two labels": {everyone, "x", []string{`link="children"`, `node="a"`}, 3}, "all workers": {everyone, "y", nil, 3},
		"one worker": {func(w string) bool { return w == "w" }, "y", nil, 2}, "unknown": {everyone, "z", nil, 0},
	} {
		if got := c.sum(tt.of, tt.metric, tt.labels...); got != tt.want {
			t.Errorf("%s: got %v, want %v", name, got, tt.want)
		}
	}
	if _, err := parseMetrics(strings.NewReader("x nonsense\n")); err == nil {
		t.Error("a value that is no number: got no error")
	}
}

func TestCountersOutliveTheirWorker(t *testing.T) {
	past := counters{}
	past.retire("w", []sample{{"x_total", `node="a"`, 3}, {"x", "", 9}})
	past.retire("w", []sample{{"x_total", `node="a"`, 4}})
	everyone := func(string) bool { return true }
	if got := past.sum(everyone, "x_total"); got != 7 {
		t.Errorf("counted in two lives: got %v, want 7", got)
	}
	if got := past.sum(everyone, "x"); got != 0 {
		t.Errorf("a gauge: got %v, want 0", got)
	}
}

func TestCostIsWhatCountersGrewBy(t *testing.T) {
	f := &federation{workers: map[string]*worker{"zone": {spec: workerSpec{Tier: tierZones}}, "region": {spec: workerSpec{Tier: tierRegions}}}}
	at := func(n float64) counters {
		return counters{"zone": {{wireSent, "", n}, {wireReceived, "", 2 * n},
			{"meridian_feed_records_sent_total", `link="children"`, 3 * n}, {"meridian_feed_records_received_total", `link="children"`, 5 * n},
			{"meridian_feed_records_received_total", `link="parent"`, 1000 * n}},
			"region": {{wireSent, "", 10 * n}, {"meridian_feed_records_sent_total", `link="parent"`, 7 * n},
				{"meridian_feed_records_received_total", `link="children"`, 1000 * n}}}
	}
	c := cost{BytesByHop: map[string]int64{}}
	(&measure{f: f, counters: at(1)}).count(&c, at(3))
	if c.Bytes != 26 || c.BytesByHop[tierZones] != 6 || c.BytesByHop[tierRegions] != 20 {
		t.Errorf("bytes: got %d, %v; want 26, of which zones 6 and regions 20", c.Bytes, c.BytesByHop)
	}
	if c.Records != 30 {
		t.Errorf("records: got %d, want 30: all that was sent, and what zones received of agents", c.Records)
	}
}
