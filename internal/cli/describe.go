package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/meridian-federation/meridian/api/v1alpha1"
	"github.com/meridian-federation/meridian/internal/cli/render"
)

func newDescribe(o *options) *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use:     "describe KIND [NAME...] | KIND/NAME...",
		Short:   "Show all about resources",
		Example: "  meridian describe application cart -n shop",
		RunE: func(cmd *cobra.Command, args []string) error {
			return describe(cmd.Context(), o, args, all)
		},
	}
	cmd.Flags().BoolVarP(&all, "all-namespaces", "A", false, "those of all namespaces")
	return cmd
}

func describe(ctx context.Context, o *options, args []string, all bool) error {
	s, err := o.connect()
	if err != nil {
		return err
	}
	chosen, err := s.selections(args)
	if err != nil {
		return err
	}
	shown := 0
	var errs []error
	for _, c := range chosen {
		found, err := s.fetch(ctx, c, all, "")
		if err != nil {
			errs = append(errs, err)
		}
		for _, object := range found {
			if shown++; shown > 1 {
				fmt.Fprint(o.env.Out, "\n\n")
			}
			if err := describeOne(ctx, o, s, object); err != nil {
				errs = append(errs, err)
			}
		}
	}
	return errors.Join(errs...)
}

func describeOne(ctx context.Context, o *options, s *server, object *unstructured.Unstructured) error {
	events, err := s.events(ctx, object)
	if err != nil {
		return err
	}
	gvk := object.GroupVersionKind()
	if gvk.Group == v1alpha1.Group && gvk.Kind == "Application" {
		return render.DescribeApplication(o.env.Out, object, events, o.env.Now())
	}
	return render.Describe(o.env.Out, object, events, o.env.Now())
}

// events are those about an object, oldest first as the server lists them.
func (s *server) events(ctx context.Context, object *unstructured.Unstructured) ([]corev1.Event, error) {
	about := fields.OneTermEqualSelector("involvedObject.uid", string(object.GetUID()))
	list, err := s.dynamic.Resource(corev1.SchemeGroupVersion.WithResource("events")).Namespace(object.GetNamespace()).
		List(ctx, metav1.ListOptions{FieldSelector: about.String()})
	if err != nil {
		return nil, fmt.Errorf("listing the events of %s: %w", object.GetName(), err)
	}
	var typed corev1.EventList
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(list.UnstructuredContent(), &typed); err != nil {
		return nil, fmt.Errorf("reading the events of %s: %w", object.GetName(), err)
	}
	return typed.Items, nil
}
