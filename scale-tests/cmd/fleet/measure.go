package main

import (
	"context"
	"time"

	"github.com/meridian-federation/meridian/scale-tests/internal/usage"
)

// linkChildren is the label of what concerns a tier's children.
const linkChildren = `link="children"`

// measure is one stretch of time that is accounted for.
type measure struct {
	f        *federation
	begun    time.Time
	cpu      usage.CPU
	counters counters
	writes   int64
	repeated int64
}

// begin begins to account.
func (f *federation) begin(ctx context.Context) (*measure, error) {
	m := &measure{f: f}
	var err error
	if m.counters, err = f.metrics(ctx); err != nil {
		return nil, err
	}
	m.writes, m.repeated = f.journal.count()
	m.cpu, err = f.fleet.Meter.CPU()
	m.begun = time.Now()
	return m, err
}

// cost is what a stretch of time took.
type cost struct {
	Wall float64 `json:"wall_s"`
	// CPU is user and kernel time in seconds, RSS the memory at the end in MiB, by tier. The agents' are the harness's own.
	CPU map[string]float64 `json:"cpu_s"`
	RSS map[string]float64 `json:"rss_mb"`
	// Bytes went over all hops, both ways, as the operating system was given them; BytesByHop tells them by the hop's
	// upper tier. ContentBytes and Records are those of the records sent among them, the agents' included. What a worker
	// sends in the moment before it is killed is missing.
	Bytes        int64            `json:"bytes"`
	BytesByHop   map[string]int64 `json:"bytes_by_hop"`
	ContentBytes int64            `json:"content_bytes"`
	Records      int64            `json:"records"`
	// ObjectWrites are those to clusters, RepeatedWrites those among them that wrote what was there.
	ObjectWrites   int64 `json:"object_writes"`
	RepeatedWrites int64 `json:"repeated_writes"`
}

// end ends it.
func (m *measure) end(ctx context.Context) (cost, error) {
	c := cost{Wall: round(time.Since(m.begun).Seconds()), CPU: map[string]float64{}, BytesByHop: map[string]int64{}}
	cpu, err := m.f.fleet.Meter.CPU()
	if err != nil {
		return c, err
	}
	for name, d := range cpu.Since(m.cpu) {
		c.CPU[m.f.tierOf(name)] += d.Seconds()
	}
	for tier, s := range c.CPU {
		c.CPU[tier] = round(s)
	}
	writes, repeated := m.f.journal.count()
	c.ObjectWrites, c.RepeatedWrites = writes-m.writes, repeated-m.repeated
	now, err := m.f.metrics(ctx)
	if err != nil {
		return c, err
	}
	m.count(&c, now)
	c.RSS, err = m.f.rss()
	return c, err
}

// count takes in what the counters say. Agents have none: what they send is what zones receive of their children.
func (m *measure) count(c *cost, now counters) {
	for worker := range now {
		grown := func(name string, labels ...string) int64 {
			only := func(w string) bool { return w == worker }
			return int64(now.sum(only, name, labels...) - m.counters.sum(only, name, labels...))
		}
		tier := m.f.tierOf(worker)
		hop := grown(wireSent) + grown(wireReceived)
		c.BytesByHop[tier] += hop
		c.Bytes += hop
		c.ContentBytes += grown("meridian_feed_sent_bytes_total")
		c.Records += grown("meridian_feed_records_sent_total")
		if tier == tierZones {
			c.ContentBytes += grown("meridian_feed_received_bytes_total", linkChildren)
			c.Records += grown("meridian_feed_records_received_total", linkChildren)
		}
	}
	delete(c.BytesByHop, tierEtcd)
}

// rss is the memory of each tier in MiB.
func (f *federation) rss() (map[string]float64, error) {
	bytes, err := f.fleet.Meter.RSS()
	if err != nil {
		return nil, err
	}
	out := map[string]float64{}
	for name, b := range bytes {
		out[f.tierOf(name)] += float64(b) / (1 << 20)
	}
	for tier, mb := range out {
		out[tier] = round(mb)
	}
	return out, nil
}
