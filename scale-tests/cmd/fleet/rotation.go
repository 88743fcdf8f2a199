package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/meridian-federation/meridian/internal/config"
	"github.com/meridian-federation/meridian/internal/identity"
	"github.com/meridian-federation/meridian/internal/question"
)

// leastLeaf is the shortest life of a certificate that is to be renewed, so that a busy machine keeps up.
const leastLeaf = 30 * time.Second

// leafLife is how long the certificates live that processes show: where they are to be renewed, so that each is twice at least
// while the churn lasts.
func (o options) leafLife() time.Duration {
	if !o.rotate {
		return identityLife
	}
	return max(o.duration/2, leastLeaf)
}

// rotationFigures say what the replacement of all certificates, and of the root above them, came to.
type rotationFigures struct {
	// Rotated: the root was replaced, and no certificate is under the old one.
	Rotated bool `json:"rotated"`
	// Rotation is how long that took, in seconds.
	Rotation float64 `json:"rotation_s"`
	// Renewals are those of all processes and agents, and RenewalsFailed those that were tried and had to be again.
	Renewals       int `json:"renewals"`
	RenewalsFailed int `json:"renewals_failed"`
	// SessionsLost are sessions of agents and tiers that ended.
	SessionsLost int `json:"sessions_lost"`
}

// issue gives a process its identity: from files that stay as they are, or in a folder from which it goes on by itself.
func (f *federation) issue(dir string, path question.Path) (config.Identity, error) {
	if f.o.rotate {
		return f.identities.Folder(dir, path)
	}
	return f.identities.Files(dir, path)
}

// agentIdentity is that of an agent, renewed until ctx ends where it has to be.
func (f *federation) agentIdentity(ctx context.Context, path question.Path, parents []string) (*identity.Source, error) {
	if !f.o.rotate {
		return f.identities.Source(path)
	}
	dir := filepath.Join(f.dir, "identity", path.Cluster)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	cfg, err := f.issue(dir, path)
	if err != nil {
		return nil, err
	}
	id, err := identity.Open(ctx, identity.Config{Identity: cfg, Path: path, Parents: parents, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, err
	}
	prometheus.WrapRegistererWith(prometheus.Labels{"agent": path.Cluster}, f.renewals).MustRegister(id.Collector())
	f.agentsDone.Go(func() { _ = id.Run(ctx) }) // it ends without error: what fails is tried again, and counted
	return id.Source, nil
}

// rotation replaces the root while everything runs. The nil rotation does nothing.
type rotation struct {
	f       *federation
	before  turned
	figures rotationFigures
}

// turned is how often certificates were renewed, and sessions begun.
type turned struct{ renewed, failed, admitted, redirected int }

func (f *federation) beginRotation(ctx context.Context) (*rotation, error) {
	if !f.o.rotate {
		return nil, nil
	}
	before, err := f.turned(ctx)
	return &rotation{f: f, before: before}, err
}

// run replaces the root when a third of the churn is over.
func (r *rotation) run(ctx context.Context) error {
	if r == nil {
		return nil
	}
	if err := linger(ctx, r.f.o.duration/3); err != nil {
		return err
	}
	begun := time.Now()
	if err := r.f.rotate(ctx); err != nil {
		return fmt.Errorf("replacing the root: %w", err)
	}
	r.figures.Rotated, r.figures.Rotation = true, round(time.Since(begun).Seconds())
	return nil
}

// end is what came of it.
func (r *rotation) end(ctx context.Context) (*rotationFigures, error) {
	if r == nil {
		return nil, nil
	}
	now, err := r.f.turned(ctx)
	if err != nil {
		return nil, err
	}
	r.figures.Renewals, r.figures.RenewalsFailed = now.renewed-r.before.renewed, now.failed-r.before.failed
	r.figures.SessionsLost = now.admitted - r.before.admitted + now.redirected - r.before.redirected
	return &r.figures, nil
}

// rotate takes the rotation step by step to its end, as `meridian authority rotate` does.
func (f *federation) rotate(ctx context.Context) error {
	for request := (question.RotateRequest{Begin: true}); ; request.Begin = false {
		now, err := f.step(ctx, request)
		switch {
		case err != nil:
			return err
		case now.Phase == question.RotationDone:
			return nil
		case now.Left == 0:
			continue
		}
		if err := linger(ctx, time.Second); err != nil {
			return fmt.Errorf("%d are waited for, such as %+v: %w", now.Left, now.Waiting, err)
		}
	}
}

// step asks for the next step, each time as somebody who knows Global by the roots of now.
func (f *federation) step(ctx context.Context, request question.RotateRequest) (now question.Rotation, err error) {
	client, err := f.dial(ctx)
	if err != nil {
		return now, fmt.Errorf("dialling Global: %w", err)
	}
	defer func() { err = errors.Join(err, client.Close()) }()
	payload, err := json.Marshal(request)
	if err != nil {
		return now, err
	}
	answer, err := client.Answer(ctx, question.KindRotate, payload)
	if err != nil {
		return now, err
	}
	node, err := question.Decode[question.Node](answer)
	if err == nil && node.Rotation == nil {
		err = errors.New("nothing of it is in Global's answer")
	}
	if err != nil {
		return now, err
	}
	return *node.Rotation, nil
}

// turned counts in all processes.
func (f *federation) turned(ctx context.Context) (turned, error) {
	m, err := f.metrics(ctx)
	if err != nil {
		return turned{}, err
	}
	sum := func(name string, labels ...string) int {
		return int(m.sum(func(string) bool { return true }, name, labels...))
	}
	out := turned{renewed: sum("meridian_certificate_renewals_total", `result="done"`), failed: sum("meridian_certificate_renewals_total", `result="failed"`),
		admitted: sum("meridian_feed_admitted_total"), redirected: sum("meridian_feed_redirects_total", `link="parent"`)}
	families, err := f.renewals.Gather()
	if err != nil {
		return out, fmt.Errorf("counting the agents' renewals: %w", err)
	}
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			n := int(metric.GetCounter().GetValue())
			for _, label := range metric.GetLabel() {
				switch label.GetValue() {
				case "done":
					out.renewed += n
				case "failed":
					out.failed += n
				}
			}
		}
	}
	return out, nil
}
