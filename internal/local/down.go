package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/meridian-federation/meridian/internal/localkube"
	"github.com/meridian-federation/meridian/internal/process"
)

// stopGrace is how long a process may take to end before it is killed.
const stopGrace = 10 * time.Second

// Down stops all that Up started in the folder: agents first, the hub last. Data is kept unless purge is set; then the
// whole folder is removed.
func Down(ctx context.Context, o Options, purge bool, out io.Writer) error {
	l, err := o.layout()
	if err != nil {
		return err
	}
	t, err := readTopology(l.topology())
	if errors.Is(err, fs.ErrNotExist) {
		fmt.Fprintf(out, "nothing runs in %s\n", l.dir)
		return nil
	}
	if err != nil {
		return err
	}
	tiers := t.tiers(l)
	slices.Reverse(tiers)
	for _, tier := range tiers {
		p, ok := process.Find(tier.spec)
		if !ok {
			continue
		}
		fmt.Fprintf(out, "stopping %s\n", tier.name)
		if err := p.Stop(ctx, stopGrace); err != nil {
			return fmt.Errorf("stopping %s: %w", tier.name, err)
		}
	}
	fmt.Fprintln(out, "stopping the clusters")
	var group errgroup.Group
	for _, kube := range t.kubes() {
		group.Go(func() error { return localkube.StopDetached(l.kube(kube.Name, kube.Port, o)) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	if purge {
		if err := os.RemoveAll(l.dir); err != nil {
			return fmt.Errorf("removing the data: %w", err)
		}
		fmt.Fprintf(out, "all is stopped, and %s is removed\n", l.dir)
		return nil
	}
	fmt.Fprintf(out, "all is stopped; the data stays in %s for the next `make up`, and `make purge` removes it\n", l.dir)
	return nil
}
