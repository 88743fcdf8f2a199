package clusteragent

import (
	"context"

	"golang.org/x/sync/errgroup"
)

// gate lets a worker write while this agent is the one that may; the context that it returns ends when that may have
// changed. It blocks until then, or until ctx ends.
type gate interface {
	enter(ctx context.Context) (context.Context, context.CancelFunc, error)
}

// workers take what the desk has to do, n at a time.
type workers struct {
	desk   *desk
	writer *writer
	gate   gate
	n      int
}

// run works until ctx ends.
func (w *workers) run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	stop := context.AfterFunc(ctx, w.desk.close)
	defer stop()
	for range w.n {
		g.Go(func() error {
			for {
				key, ok := w.desk.next()
				if !ok {
					return nil
				}
				if t, ok := w.desk.take(key); ok {
					w.desk.finish(t, w.work(ctx, t))
				}
				w.desk.release(key)
			}
		})
	}
	return g.Wait()
}

func (w *workers) work(ctx context.Context, t task) result {
	ctx, leave, err := w.gate.enter(ctx)
	if err != nil {
		return result{err: err}
	}
	defer leave()
	return w.writer.do(ctx, t)
}
