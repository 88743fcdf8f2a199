package clusteragent

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
)

const (
	listPage = 500
	// watchFor is how long one watch request lasts, up to twice that. The end of one is not the end of its history.
	watchFor = 5 * time.Minute
	// The pace of tries after an error.
	watchStep  = 200 * time.Millisecond
	watchLimit = 3 * time.Second
)

// source lists and watches the objects of one kind.
type source struct {
	name  string
	list  func(ctx context.Context, opts metav1.ListOptions) (runtime.Object, error)
	watch func(ctx context.Context, opts metav1.ListOptions) (watch.Interface, error)
	// selector of labels; empty is all.
	selector string
}

// sink takes what a source sees, in order, from one goroutine.
type sink interface {
	// listing begins a list.
	listing()
	// see takes an object that is there, vanish one that is not any more, or has lost its label.
	see(obj metav1.Object)
	vanish(obj metav1.Object)
	// listed ends a list: all there is at resourceVersion has been seen. missing: the cluster does not serve the kind.
	listed(resourceVersion string, missing bool)
}

// watcher keeps a sink informed. It keeps no objects: unlike an informer's, its memory is one page of a list.
type watcher struct {
	log    *slog.Logger
	source source
	sink   sink
}

// run lists and watches until ctx ends.
func (w *watcher) run(ctx context.Context) error {
	for failures := 0; ctx.Err() == nil; {
		version, missing, err := w.listAll(ctx)
		if err == nil {
			failures = 0
			w.sink.listed(version, missing)
		}
		if err == nil && !missing {
			err = w.follow(ctx, version)
		}
		if ctx.Err() != nil {
			break
		}
		failures++
		if missing {
			w.log.Debug("kind is not served", "kind", w.source.name)
		} else {
			w.log.Warn("listing again", "kind", w.source.name, "error", err)
		}
		pause(ctx, min(watchStep<<min(failures, 16), watchLimit))
	}
	return nil
}

// listAll shows the sink all objects, a page at a time.
func (w *watcher) listAll(ctx context.Context) (version string, missing bool, err error) {
	opts := metav1.ListOptions{LabelSelector: w.source.selector, Limit: listPage}
	w.sink.listing()
	for {
		version, next, err := w.page(ctx, opts)
		switch {
		case apierrors.IsNotFound(err), meta.IsNoMatchError(err):
			return "", true, nil
		case err != nil:
			return "", false, fmt.Errorf("listing %s: %w", w.source.name, err)
		case next == "":
			return version, false, nil
		}
		opts.Continue = next
	}
}

func (w *watcher) page(ctx context.Context, opts metav1.ListOptions) (version, next string, err error) {
	ctx, cancel := context.WithTimeout(ctx, requestWithin)
	defer cancel()
	list, err := w.source.list(ctx, opts)
	if err != nil {
		return "", "", err
	}
	err = meta.EachListItem(list, func(o runtime.Object) error {
		obj, err := meta.Accessor(o)
		if err == nil {
			w.sink.see(obj)
		}
		return err
	})
	if err != nil {
		return "", "", err
	}
	l, err := meta.ListAccessor(list)
	if err != nil {
		return "", "", err
	}
	return l.GetResourceVersion(), l.GetContinue(), nil
}

// follow watches from a version on, again and again, until the server has forgotten that part of history. Its error
// says why the objects have to be listed again.
func (w *watcher) follow(ctx context.Context, version string) error {
	for failures := 0; ctx.Err() == nil; {
		last, err := w.watchOnce(ctx, version)
		if last != version {
			failures = 0
		}
		version = last
		if apierrors.IsResourceExpired(err) || apierrors.IsGone(err) || apierrors.IsNotFound(err) ||
			apierrors.IsForbidden(err) {
			return fmt.Errorf("watching %s: %w", w.source.name, err)
		}
		if err != nil && ctx.Err() == nil {
			w.log.Debug("watching again", "kind", w.source.name, "error", err)
			pause(ctx, min(watchStep<<min(failures, 16), watchLimit))
			failures++
		}
	}
	return ctx.Err()
}

// watchOnce makes one watch request and returns the version that it got to.
func (w *watcher) watchOnce(ctx context.Context, version string) (string, error) {
	seconds := int64((watchFor + rand.N(watchFor)).Seconds())
	stream, err := w.source.watch(ctx, metav1.ListOptions{LabelSelector: w.source.selector, ResourceVersion: version,
		AllowWatchBookmarks: true, TimeoutSeconds: &seconds})
	if err != nil {
		return version, err
	}
	defer stream.Stop()
	for {
		var ev watch.Event
		var ok bool
		select {
		case ev, ok = <-stream.ResultChan():
		case <-ctx.Done():
			return version, ctx.Err()
		}
		if !ok {
			return version, nil
		}
		if ev.Type == watch.Error {
			return version, apierrors.FromObject(ev.Object)
		}
		obj, err := meta.Accessor(ev.Object)
		if err != nil {
			return version, err
		}
		switch ev.Type {
		case watch.Added, watch.Modified:
			w.sink.see(obj)
		case watch.Deleted:
			w.sink.vanish(obj)
		}
		version = obj.GetResourceVersion()
	}
}

// pause waits, shorter by chance so that many do not come back at once, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d/2 + rand.N(d/2+1))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
