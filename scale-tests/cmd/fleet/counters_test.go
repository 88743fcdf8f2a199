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
