package cli

import (
	"context"
	"errors"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// fetch gets the objects of a selection, without the lists of who owns which field. What was found is returned beside
// an error about the rest.
func (s *server) fetch(ctx context.Context, c selection, all bool, selector string) ([]*unstructured.Unstructured, error) {
	namespace := s.namespace
	if all {
		namespace = metav1.NamespaceAll
	}
	resource := s.resource(c.mapping, namespace)
	var found []*unstructured.Unstructured
	var errs []error
	if len(c.names) == 0 {
		list, err := resource.List(ctx, metav1.ListOptions{LabelSelector: selector})
		if err != nil {
			return nil, err
		}
		for i := range list.Items {
			found = append(found, &list.Items[i])
		}
	}
	for _, name := range c.names {
		o, err := resource.Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			errs = append(errs, err)
			continue
		}
		found = append(found, o)
	}
	for _, o := range found {
		o.SetManagedFields(nil)
	}
	return found, errors.Join(errs...)
}
