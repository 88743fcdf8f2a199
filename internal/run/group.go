package run

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// grace is how long all components together may take to stop. It is half of the 30 s that Kubernetes gives a pod.
const grace = 15 * time.Second

// Group is the components of one binary. Add first what others use: a store before the server that reads from it.
type Group struct {
	log   *slog.Logger
	grace time.Duration
	parts []*part
}

type part struct {
	name   string
	run    func(ctx context.Context) error
	cancel context.CancelFunc
	done   chan struct{}
	// err is what run returned; it is set before done is closed.
	err error
}

// NewGroup makes an empty group.
func NewGroup(log *slog.Logger) *Group { return &Group{log: log, grace: grace} }

// Add adds a component: run works until its context ends. A component that returns nil earlier is finished, and the
// others go on; one that returns an error ends them all.
func (g *Group) Add(name string, run func(ctx context.Context) error) {
	g.parts = append(g.parts, &part{name: name, run: run, done: make(chan struct{})})
}

// Run starts the components in the order in which they were added and works until ctx ends, all are finished, or one
// fails. It then stops them in the opposite order, each once the one before it has stopped, and returns what went wrong
// first.
func (g *Group) Run(ctx context.Context) error {
	ended := make(chan *part, len(g.parts))
	for _, p := range g.parts {
		own, cancel := context.WithCancel(context.WithoutCancel(ctx))
		p.cancel = cancel
		g.log.Debug("starting", "component", p.name)
		go p.work(own, ended)
	}
	var errs []error
wait:
	for range g.parts {
		select {
		case <-ctx.Done():
			break wait
		case p := <-ended:
			if p.err != nil {
				errs = append(errs, p.failure())
				break wait
			}
		}
	}
	return errors.Join(append(errs, g.stop(errs)...)...)
}

// work runs the component and tells that it ended; stop waits for it.
func (p *part) work(ctx context.Context, ended chan<- *part) {
	defer close(p.done)
	p.err = p.run(ctx)
	ended <- p
}

func (p *part) failure() error { return fmt.Errorf("%s: %w", p.name, p.err) }

// stop ends the components, last first, and returns what they say that is not known yet.
func (g *Group) stop(known []error) []error {
	deadline := time.After(g.grace)
	var errs []error
	for i := len(g.parts) - 1; i >= 0; i-- {
		p := g.parts[i]
		g.log.Debug("stopping", "component", p.name)
		p.cancel()
		select {
		case <-p.done:
			if p.err != nil && !errors.Is(p.err, context.Canceled) && !holds(known, p.err) {
				errs = append(errs, p.failure())
			}
		case <-deadline:
			for _, rest := range g.parts[:i] {
				rest.cancel()
			}
			return append(errs, fmt.Errorf("%s has not stopped within %s", p.name, g.grace))
		}
	}
	return errs
}

func holds(errs []error, err error) bool {
	for _, e := range errs {
		if errors.Is(e, err) {
			return true
		}
	}
	return false
}
