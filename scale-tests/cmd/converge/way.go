package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/client-go/rest"

	"github.com/meridian-federation/meridian/internal/hubclient"
	"github.com/meridian-federation/meridian/internal/question"
	"github.com/meridian-federation/meridian/scale-tests/internal/latency"
)

// stop is one on an application's way down the tree.
type stop struct {
	Name string  `json:"stop"`
	At   float64 `json:"ms"`
}

// asked is the most applications of a step whose way is asked for.
const asked = 200

// way asks Global when each node had the applications, and returns the medians of the time since their writes were begun.
// Where there are several clusters, the last one counts.
func way(ctx context.Context, hub *rest.Config, begun map[string]time.Time) ([]stop, error) {
	client, err := hubclient.Dial(ctx, hub, hubclient.Options{})
	if err != nil {
		return nil, err
	}
	defer client.Close()
	times := map[string][]time.Duration{}
	for name, start := range begun {
		if len(times["accepted"]) >= asked {
			break
		}
		top, err := askFor(ctx, client, name)
		if err != nil {
			return nil, fmt.Errorf("asking for the way of %s: %w", name, err)
		}
		for stop, at := range stops(top) {
			times[stop] = append(times[stop], at.Sub(start))
		}
	}
	var out []stop
	for name, list := range times {
		out = append(out, stop{name, latency.Milliseconds(latency.Percentile(list, 50))})
	}
	slices.SortFunc(out, func(a, b stop) int { return cmp.Compare(a.At, b.At) })
	return out, nil
}

func askFor(ctx context.Context, client *question.Client, name string) (question.Node, error) {
	payload, err := json.Marshal(question.ApplicationRequest{Namespace: namespace, Name: name})
	if err != nil {
		return question.Node{}, err
	}
	answer, err := client.Answer(ctx, question.KindApplication, payload)
	if err != nil {
		return question.Node{}, err
	}
	return question.Decode[question.Node](answer)
}

// stops reads the times of one application from the tree.
func stops(top question.Node) map[string]time.Time {
	out := map[string]time.Time{}
	later := func(name string, at time.Time) {
		if !at.IsZero() && at.After(out[name]) {
			out[name] = at
		}
	}
	var visit func(question.Node)
	visit = func(n question.Node) {
		if a := n.Application; a != nil {
			switch n.Tier {
			case question.TierGlobal:
				later("accepted", a.AcceptedAt)
			case question.TierCluster:
				later("in cluster", a.ReceivedAt)
				later("applied", a.AppliedAt)
			default:
				later("in "+string(n.Tier), a.ReceivedAt)
			}
		}
		for _, child := range n.Children {
			visit(child)
		}
	}
	visit(top)
	return out
}

func wayLine(list []stop) string {
	var parts []string
	for _, s := range list {
		parts = append(parts, fmt.Sprintf("%s %.1f ms", s.Name, s.At))
	}
	return strings.Join(parts, ", ")
}
