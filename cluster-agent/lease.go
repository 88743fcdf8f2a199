package clusteragent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/question"
)

// Where the Lease is.
const (
	systemNamespace = "meridian-system"
	leaseName       = "meridian-agent"
)

// The Lease's times, in order: the holder renews it; writes only so long after the last renewal; and a standby takes it
// over when it has not changed for the longest, by the standby's own clock.
const (
	renewEvery    = 5 * time.Second
	writeFor      = 10 * time.Second
	leaseDuration = 15 * time.Second
	// leaseRetry is the pause between two tries for the Lease.
	leaseRetry = time.Second
)

// errLost says that another agent holds the Lease.
var errLost = errors.New("another agent has taken the lease")

// lease is the Lease that elects the one active agent of a cluster, and keeps the agent's state.
//
//	standby ── free, expired, or our own ──▶ holding ── no renewal ──▶ paused ── renewal ──▶ holding
//	   ▲                                        └───────── another's ─────┴──▶ lost
//	   └──────────────────────────────────────────────────────────────────────────┘
type lease struct {
	kube *kube
	id   string
	zone question.Path
	log  *slog.Logger

	writing sync.Mutex // held during a write; taken before mu
	mu      sync.Mutex // guards all below
	held    *coordinationv1.Lease
	kept    feed.State // what held says
	state   feed.State // what it should say
	peers   []string   // addresses of the zone's replicas, as it should say
	renewed time.Time  // when the last successful write began; zero while not held
	opened  chan struct{}
	standby bool
}

func newLease(k *kube, id string, zone question.Path, log *slog.Logger) *lease {
	return &lease{kube: k, id: id, zone: zone, log: log, opened: make(chan struct{})}
}

// acquire waits until the Lease is this agent's, and returns the state that it keeps. A Lease under this agent's own id
// is taken at once: its holder was an earlier run.
func (l *lease) acquire(ctx context.Context) (feed.State, error) {
	var last string
	since := time.Now()
	for {
		current, err := l.load(ctx)
		switch {
		case err != nil:
			l.log.Warn("reading the lease", "error", err)
		case current.ResourceVersion != last && current.ResourceVersion != "":
			last, since = current.ResourceVersion, time.Now()
		}
		if err == nil && (l.mayTake(current) || time.Since(since) > leaseDuration) {
			state, err := l.takeOver(ctx, current)
			if err == nil || !worthRetrying(err) || ctx.Err() != nil {
				return state, err
			}
			l.log.Warn("taking the lease", "error", err)
		}
		l.standBy(err == nil && !l.mayTake(current))
		pause(ctx, leaseRetry)
		if ctx.Err() != nil {
			return feed.State{}, ctx.Err()
		}
	}
}

func (l *lease) standBy(on bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if on && !l.standby {
		l.log.Info("standing by: another agent holds the lease", "id", l.id)
	}
	l.standby = on
}

// standingBy tells whether another agent is known to hold the Lease.
func (l *lease) standingBy() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.standby
}

// errState is a Lease whose annotations cannot be read.
var errState = errors.New("the lease's state cannot be read; mend or remove the annotation")

func worthRetrying(err error) bool { return !errors.Is(err, errState) }

func (l *lease) mayTake(current *coordinationv1.Lease) bool {
	holder := current.Spec.HolderIdentity
	return holder == nil || *holder == "" || *holder == l.id
}

// load reads the Lease; one that does not exist is one with no resource version.
func (l *lease) load(ctx context.Context) (*coordinationv1.Lease, error) {
	ctx, cancel := context.WithTimeout(ctx, requestWithin)
	defer cancel()
	current, err := l.kube.leases.Leases(systemNamespace).Get(ctx, leaseName, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: systemNamespace, Name: leaseName}}, nil
	}
	return current, err
}

func (l *lease) takeOver(ctx context.Context, current *coordinationv1.Lease) (feed.State, error) {
	state, err := readState(current.Annotations)
	if err != nil {
		return state, fmt.Errorf("%w: %w", errState, err)
	}
	l.mu.Lock()
	l.held, l.kept, l.state, l.peers = current, state, state, readAddresses(current.Annotations, l.zone)
	l.mu.Unlock()
	if err := l.write(ctx); err != nil {
		return state, err
	}
	l.log.Info("holding the lease", "id", l.id, "fence", state.Fence, "floor", state.Floor)
	return state, nil
}

// write writes the Lease with this agent as its holder.
func (l *lease) write(ctx context.Context) error {
	l.writing.Lock()
	defer l.writing.Unlock()
	ctx, cancel := context.WithTimeout(ctx, writeFor)
	defer cancel()
	began := time.Now()
	next, state, err := l.next(l.id)
	if err != nil {
		return err
	}
	written, err := l.send(ctx, next)
	if apierrors.IsConflict(err) || apierrors.IsNotFound(err) || apierrors.IsAlreadyExists(err) {
		return l.changed(ctx)
	}
	if err != nil {
		return fmt.Errorf("writing the lease: %w", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.held, l.kept, l.renewed, l.standby = written, state, began, false
	close(l.opened)
	l.opened = make(chan struct{})
	return nil
}

// changed looks at a Lease that somebody wrote to or removed. If it is still, or again, this agent's, the next write is
// based on it.
func (l *lease) changed(ctx context.Context) error {
	current, err := l.load(ctx)
	if err != nil {
		return fmt.Errorf("reading the lease: %w", err)
	}
	if !l.mayTake(current) {
		l.close()
		return errLost
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.held = current
	return errors.New("the lease was written to by another; writing again")
}

// next is the Lease to write.
func (l *lease) next(holder string) (*coordinationv1.Lease, feed.State, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	next := l.held.DeepCopy()
	if next.Annotations == nil {
		next.Annotations = map[string]string{}
	}
	if err := writeState(next.Annotations, l.state); err != nil {
		return nil, l.state, err
	}
	writeAddresses(next.Annotations, l.zone, l.peers)
	now, seconds := metav1.NowMicro(), int32(leaseDuration/time.Second)
	if was := next.Spec.HolderIdentity; was == nil || *was != holder {
		next.Spec.AcquireTime = &now
		transitions := int32(1)
		if t := next.Spec.LeaseTransitions; t != nil {
			transitions += *t
		}
		next.Spec.LeaseTransitions = &transitions
	}
	next.Spec.HolderIdentity, next.Spec.RenewTime, next.Spec.LeaseDurationSeconds = &holder, &now, &seconds
	return next, l.state, nil
}

func (l *lease) send(ctx context.Context, next *coordinationv1.Lease) (*coordinationv1.Lease, error) {
	if next.ResourceVersion != "" {
		return l.kube.leases.Leases(next.Namespace).Update(ctx, next, metav1.UpdateOptions{})
	}
	written, err := l.create(ctx, next)
	if apierrors.IsNotFound(err) {
		if err := l.makeNamespace(ctx); err != nil {
			return nil, err
		}
		return l.create(ctx, next)
	}
	return written, err
}

// create makes the Lease if there is none, by an apply that meets a conflict with any that there is: only of an apply does
// the API server know the name when it asks whether the agent may create.
func (l *lease) create(ctx context.Context, first *coordinationv1.Lease) (*coordinationv1.Lease, error) {
	first = first.DeepCopy()
	first.TypeMeta = metav1.TypeMeta{APIVersion: coordinationv1.SchemeGroupVersion.String(), Kind: "Lease"}
	first.ResourceVersion = noResourceVersion
	content, err := json.Marshal(first)
	if err != nil {
		return nil, fmt.Errorf("writing the lease: %w", err)
	}
	force := true
	return l.kube.leases.Leases(first.Namespace).Patch(ctx, first.Name, types.ApplyPatchType, content,
		metav1.PatchOptions{FieldManager: leaseName, Force: &force})
}

// makeNamespace is for a cluster without the agent's manifests, where an administrator runs it.
func (l *lease) makeNamespace(ctx context.Context) error {
	at := l.kube.meta.Resource(namespaceResource)
	content := []byte(`{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"` + systemNamespace + `"}}`)
	_, err := at.Patch(ctx, systemNamespace, types.ApplyPatchType, content, metav1.PatchOptions{FieldManager: leaseName})
	if err != nil {
		return fmt.Errorf("making namespace %s: %w", systemNamespace, err)
	}
	return nil
}
