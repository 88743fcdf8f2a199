// Package arrival tells when objects have reached clusters, or are gone from them. It watches their metadata, so that
// the moment is that of the watch event and not that of a poll, and it costs the API servers little. The harnesses of
// scale-tests import it.
package arrival

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	watchtools "k8s.io/client-go/tools/watch"

	"github.com/meridian-federation/meridian/internal/object"
)

// Watch follows the managed objects of some clusters.
type Watch struct {
	group  *errgroup.Group
	stop   context.CancelFunc
	failed <-chan struct{} // closed when a cluster is watched no more

	mu       sync.Mutex
	clusters int
	seen     map[place]string // versions
	current  *Expectation
}

// place is an object in one cluster.
type place struct {
	cluster int
	id      object.ID
}

// Start watches objects of some kinds, those that carry Meridian's label, in all clusters. What is there already has
// been seen when it returns. The watches end with Stop, or with ctx.
func Start(ctx context.Context, clusters []*rest.Config, kinds []object.Managed) (*Watch, error) {
	ctx, stop := context.WithCancel(ctx)
	group, ctx := errgroup.WithContext(ctx)
	w := &Watch{group: group, stop: stop, failed: ctx.Done(), clusters: len(clusters), seen: map[place]string{}}
	for i, cfg := range clusters {
		client, err := metadata.NewForConfig(cfg)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("making a client: %w", err), w.Stop())
		}
		for _, kind := range kinds {
			events, err := w.open(ctx, client, i, kind)
			if err != nil {
				return nil, errors.Join(fmt.Errorf("watching %s in cluster %d: %w", kind.Resource, i+1, err), w.Stop())
			}
			group.Go(func() error { return w.follow(ctx, events, i, kind) })
		}
	}
	return w, nil
}

// Stop ends the watches.
func (w *Watch) Stop() error {
	w.stop()
	return w.group.Wait()
}

func (w *Watch) open(ctx context.Context, client metadata.Interface, cluster int, kind object.Managed) (watch.Interface, error) {
	opts := metav1.ListOptions{LabelSelector: object.LabelManaged + "=" + object.ManagedValue}
	list, err := client.Resource(kind.GVR()).List(ctx, opts)
	if err != nil {
		return nil, err
	}
	for i := range list.Items {
		w.note(place{cluster, idOf(kind, &list.Items[i])}, version(&list.Items[i]))
	}
	// An API server that is short of CPU ends watches that lag; the next goes on where the last one ended.
	return watchtools.NewRetryWatcherWithContext(ctx, list.ResourceVersion, &cache.ListWatch{
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			o.LabelSelector = opts.LabelSelector
			return client.Resource(kind.GVR()).Watch(ctx, o)
		},
	})
}

// follow takes in the events of one watch. An end that it cannot go on from is an error.
func (w *Watch) follow(ctx context.Context, events watch.Interface, cluster int, kind object.Managed) error {
	defer events.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case e, ok := <-events.ResultChan():
			obj, isObject := e.Object.(*metav1.PartialObjectMetadata)
			if !ok || !isObject {
				return fmt.Errorf("the watch of %s in cluster %d ended", kind.Resource, cluster+1)
			}
			v := version(obj)
			if e.Type == watch.Deleted {
				v = Gone
			}
			w.note(place{cluster, idOf(kind, obj)}, v)
		}
	}
}

// note takes in the version of an object, or that it is gone.
func (w *Watch) note(p place, version string) {
	now := time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	if version == Gone {
		delete(w.seen, p)
	} else {
		w.seen[p] = version
	}
	if w.current != nil {
		w.current.note(p, version, now)
	}
}

func idOf(kind object.Managed, obj *metav1.PartialObjectMetadata) object.ID {
	return object.ID{Group: kind.Group, Version: kind.Version, Kind: kind.Kind, Namespace: obj.Namespace, Name: obj.Name}
}

// version is that which was applied. An object without the mark has one that nobody wants.
func version(obj *metav1.PartialObjectMetadata) string {
	if v := obj.Annotations[object.AnnotationVersion]; v != "" {
		return v
	}
	return "unmarked"
}
