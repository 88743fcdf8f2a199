package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/meridian-federation/meridian/internal/process"
	"github.com/meridian-federation/meridian/scale-tests/internal/fleet"
)

// Names of the processes, in the report too.
const (
	self       = "ledger"
	etcdWorker = "etcd"
	opener     = "opener"
)

// answersWithin bounds the start of the etcd.
const answersWithin = time.Minute

// measure starts the etcd, and measures everything.
func measure(ctx context.Context, o options, dir string) (r *report, err error) {
	f, ctx := fleet.New(ctx, "", dir)
	defer func() {
		if cause := context.Cause(ctx); cause != nil && err != nil {
			err = cause
		}
		err = errors.Join(err, f.Stop())
	}()
	f.Meter.Add(self, os.Getpid())
	b := &bench{options: o, dir: dir, fleet: f}
	if err := b.startEtcd(ctx); err != nil {
		return nil, err
	}
	samples, err := b.compare(ctx)
	if err != nil {
		return nil, err
	}
	size, err := b.size(ctx)
	if err != nil {
		return nil, err
	}
	return newReport(o, samples, size), nil
}

// bench is one run.
type bench struct {
	options
	dir   string
	fleet *fleet.Fleet
	etcd  string // HOST:PORT
}

func (b *bench) startEtcd(ctx context.Context) error {
	port, err := process.FreePort()
	if err != nil {
		return err
	}
	b.etcd = fmt.Sprintf("127.0.0.1:%d", port)
	spec, err := b.worker(etcdWorker, workerSpec{Etcd: b.etcd, Dir: filepath.Join(b.dir, etcdWorker)})
	if err != nil {
		return err
	}
	p, err := b.fleet.Start(spec)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, answersWithin)
	defer cancel()
	return p.AwaitReady(ctx, func(ctx context.Context) error {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", b.etcd)
		if err != nil {
			return err
		}
		return conn.Close()
	})
}

// worker is a process of this program.
func (b *bench) worker(name string, w workerSpec) (process.Spec, error) {
	exe, err := os.Executable()
	if err != nil {
		return process.Spec{}, fmt.Errorf("finding this program: %w", err)
	}
	content, err := json.Marshal(w)
	if err != nil {
		return process.Spec{}, err
	}
	return process.Spec{Name: name, Path: exe, Env: []string{workerEnv + "=" + string(content)}, Log: filepath.Join(b.dir, name+".log")}, nil
}

// compare has all contenders take turns, in the opposite order every other round.
func (b *bench) compare(ctx context.Context) (out map[string]*sample, err error) {
	contenders, end, err := b.contenders(ctx)
	defer func() { err = errors.Join(err, end()) }()
	if err != nil {
		return nil, err
	}
	out = map[string]*sample{}
	for _, c := range contenders {
		// What the first turns cost is not counted: connections, memory, files that grow.
		var warm sample
		if err := warm.take(ctx, c, b.callers, b.slice/4, b.fleet.Meter); err != nil {
			return nil, err
		}
		out[c.name] = &sample{first: warm.calls()}
	}
	for round := range b.rounds {
		for i := range contenders {
			if round%2 == 1 {
				i = len(contenders) - 1 - i
			}
			if err := b.turn(ctx, contenders[i], out[contenders[i].name]); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}

// turn has one contender take one turn, with a profile of the last one where that is asked for.
func (b *bench) turn(ctx context.Context, c contender, s *sample) (err error) {
	if b.profiles != "" {
		end, err := profile(filepath.Join(b.profiles, c.name+".pprof"))
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, end()) }()
	}
	return s.take(ctx, c, b.callers, b.slice, b.fleet.Meter)
}

// contenders are bare transactions and the three ways to use a ledger, each a ledger of its own. end is never nil.
func (b *bench) contenders(ctx context.Context) (out []contender, end func() error, err error) {
	var opened []*holding
	end = func() error {
		var errs []error
		for _, h := range opened {
			errs = append(errs, h.close())
		}
		return errors.Join(errs...)
	}
	for _, kind := range []struct {
		name               string
		batch, allocations int
	}{{durable, 1, 1}, {batched, 0, 1}, {local, 0, b.batch}} {
		h, err := open(ctx, b.etcd, prefixOf(kind.name), kind.batch)
		if err != nil {
			return nil, end, err
		}
		opened = append(opened, h)
		if err := h.addBlock(ctx); err != nil {
			return nil, end, err
		}
		out = append(out, contender{name: kind.name, allocations: kind.allocations, do: h.allocate(kind.allocations)})
	}
	reference, err := newBare(ctx, opened[0])
	if err != nil {
		return nil, end, err
	}
	return append([]contender{{name: bare, allocations: 1, do: reference.do}}, out...), end, nil
}
