package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// sample is one metric of one worker at one time.
type sample struct {
	name   string
	labels string
	value  float64
}

// counters is the metrics of workers, by worker.
type counters map[string][]sample

// scrape reads a worker's metrics.
func scrape(ctx context.Context, admin string) ([]sample, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+admin+"/metrics", nil)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, fmt.Errorf("reading metrics: %w", err)
	}
	defer response.Body.Close()
	return parseMetrics(response.Body)
}

// parseMetrics reads Prometheus' text format.
func parseMetrics(r io.Reader) ([]sample, error) {
	var out []sample
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := lines.Text()
		space := strings.LastIndexByte(line, ' ')
		if strings.HasPrefix(line, "#") || space < 0 {
			continue
		}
		value, err := strconv.ParseFloat(line[space+1:], 64)
		if err != nil {
			return nil, fmt.Errorf("reading metric %q: %w", line, err)
		}
		name, labels, _ := strings.Cut(line[:space], "{")
		out = append(out, sample{name, labels, value})
	}
	return out, lines.Err()
}

// retire keeps what a worker had counted when it was ended. By their names, counters alone are kept: the rest was of that
// process.
func (c counters) retire(worker string, last []sample) {
	for _, s := range last {
		if strings.HasSuffix(s.name, "_total") {
			c[worker] = append(c[worker], s)
		}
	}
}

// matches tells whether a metric has the name and all the labels, written NAME="VALUE".
func (s sample) matches(name string, labels ...string) bool {
	if s.name != name {
		return false
	}
	for _, l := range labels {
		if !strings.Contains(s.labels, l) {
			return false
		}
	}
	return true
}

// sum adds up a metric over all its labels but those given, over the workers for which of is true.
func (c counters) sum(of func(worker string) bool, name string, labels ...string) float64 {
	var sum float64
	for worker, samples := range c {
		if !of(worker) {
			continue
		}
		for _, s := range samples {
			if s.matches(name, labels...) {
				sum += s.value
			}
		}
	}
	return sum
}
