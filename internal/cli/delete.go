package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
)

type deletion struct {
	*options
	files     []string
	recursive bool
	ignore    bool
	wait      bool
	timeout   time.Duration
}

func newDelete(o *options) *cobra.Command {
	d := &deletion{options: o}
	cmd := &cobra.Command{
		Use:   "delete KIND NAME... | KIND/NAME... | -f FILE|DIRECTORY|-",
		Short: "Delete resources",
		Example: "  meridian delete application cart -n shop\n" +
			"  meridian delete -f deploy/samples/shop",
		RunE: func(cmd *cobra.Command, args []string) error { return d.run(cmd.Context(), args) },
	}
	flags := cmd.Flags()
	flags.StringSliceVarP(&d.files, "filename", "f", nil, "file, directory, or - for standard input, whose objects are deleted")
	flags.BoolVarP(&d.recursive, "recursive", "R", false, "go into directories below too")
	flags.BoolVar(&d.ignore, "ignore-not-found", false, "what does not exist is as good as deleted")
	flags.BoolVar(&d.wait, "wait", true, "wait until the objects are gone")
	flags.DurationVar(&d.timeout, "timeout", 0, "how long to wait; 0 is as long as it takes")
	return cmd
}

// doomed is one object to be deleted.
type doomed struct {
	mapping  *meta.RESTMapping
	resource dynamic.ResourceInterface
	name     string
	// uid is known once the server has taken the deletion.
	uid types.UID
}

func (d *doomed) label() string { return label(d.mapping.GroupVersionKind.GroupKind(), d.name) }

func (d *deletion) run(ctx context.Context, args []string) error {
	if (len(args) == 0) == (len(d.files) == 0) {
		return errors.New("give either a kind and names, or -f")
	}
	s, err := d.connect()
	if err != nil {
		return err
	}
	targets, err := d.targets(s, args)
	if err != nil {
		return err
	}
	if d.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, d.timeout)
		defer cancel()
	}
	going, failed := d.delete(ctx, targets)
	if d.wait {
		for _, t := range going {
			if err := t.waitGone(ctx); err != nil {
				return fmt.Errorf("waiting until %s is gone: %w", t.label(), err)
			}
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d objects could not be deleted", failed, len(targets))
	}
	return nil
}

// delete deletes one object after another, and returns those that are going and how many could not be deleted.
func (d *deletion) delete(ctx context.Context, targets []*doomed) (going []*doomed, failed int) {
	for _, t := range targets {
		gone, err := d.one(ctx, t)
		switch {
		case err != nil:
			failed++
			fmt.Fprintf(d.env.Err, "error: %s: %v\n", t.label(), err)
		case gone:
		default:
			fmt.Fprintf(d.env.Out, "%s deleted\n", t.label())
			going = append(going, t)
		}
	}
	return going, failed
}

// targets are the objects named, or those of the files in the opposite order of their creation.
func (d *deletion) targets(s *server, args []string) ([]*doomed, error) {
	var out []*doomed
	if len(args) > 0 {
		chosen, err := s.selections(args)
		if err != nil {
			return nil, err
		}
		for _, c := range chosen {
			if len(c.names) == 0 {
				return nil, fmt.Errorf("say which of the %s by name", c.mapping.Resource.Resource)
			}
			for _, name := range c.names {
				out = append(out, &doomed{mapping: c.mapping, resource: s.resource(c.mapping, s.namespace), name: name})
			}
		}
		return out, nil
	}
	manifests, err := readManifests(d.env.In, d.files, d.recursive)
	if err != nil {
		return nil, err
	}
	byNeed(manifests)
	slices.Reverse(manifests)
	for _, m := range manifests {
		if m.err != nil {
			return nil, fmt.Errorf("%s: %w", m.source, m.err)
		}
		mapping, err := s.locate(m)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", m.source, err)
		}
		out = append(out, &doomed{mapping: mapping, resource: s.resource(mapping, m.object.GetNamespace()), name: m.object.GetName()})
	}
	return out, nil
}

// one has the server take the deletion; gone says that there was nothing to delete, and that this is fine.
func (d *deletion) one(ctx context.Context, t *doomed) (gone bool, err error) {
	object, err := t.resource.Get(ctx, t.name, metav1.GetOptions{})
	if err == nil {
		t.uid = object.GetUID()
		background := metav1.DeletePropagationBackground
		err = t.resource.Delete(ctx, t.name, metav1.DeleteOptions{
			PropagationPolicy: &background,
			Preconditions:     &metav1.Preconditions{UID: &t.uid},
		})
	}
	if d.ignore && apierrors.IsNotFound(err) {
		return true, nil
	}
	return false, err
}

// waitGone returns when the object is gone, or another has taken its name.
func (d *doomed) waitGone(ctx context.Context) error {
	options := metav1.ListOptions{FieldSelector: fields.OneTermEqualSelector("metadata.name", d.name).String()}
	for {
		list, err := d.resource.List(ctx, options)
		if err != nil {
			return err
		}
		if len(list.Items) == 0 || list.Items[0].GetUID() != d.uid {
			return nil
		}
		since := options
		since.ResourceVersion = list.GetResourceVersion()
		changes, err := d.resource.Watch(ctx, since)
		if err != nil {
			return err
		}
		if seenGone(changes) {
			return nil
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
}

// seenGone watches until the object is deleted; false if the watch ended before.
func seenGone(changes watch.Interface) bool {
	defer changes.Stop()
	for change := range changes.ResultChan() {
		if change.Type == watch.Deleted {
			return true
		}
		if change.Type == watch.Error {
			return false
		}
	}
	return false
}
