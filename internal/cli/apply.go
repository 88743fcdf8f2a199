package cli

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
)

// fieldManager is this command's name in server-side apply.
const fieldManager = "meridian-cli"

type apply struct {
	*options
	files     []string
	recursive bool
	force     bool
	dryRun    bool
}

func newApply(o *options) *cobra.Command {
	a := &apply{options: o}
	cmd := &cobra.Command{
		Use:   "apply -f FILE|DIRECTORY|-",
		Short: "Create or change resources by server-side apply",
		Example: "  meridian apply -f deploy/samples/shop\n" +
			"  kustomize build . | meridian apply -f -",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.run(cmd.Context()) },
	}
	flags := cmd.Flags()
	flags.StringSliceVarP(&a.files, "filename", "f", nil, "file, directory, or - for standard input; may be repeated")
	flags.BoolVarP(&a.recursive, "recursive", "R", false, "go into directories below too")
	flags.BoolVar(&a.force, "force-conflicts", false, "take over fields that another manager owns")
	flags.BoolVar(&a.dryRun, "dry-run", false, "have the server check everything and keep nothing")
	return cmd
}

// run applies one object after another; a bad one does not keep the others from being applied.
func (a *apply) run(ctx context.Context) error {
	manifests, err := readManifests(a.env.In, a.files, a.recursive)
	if err != nil {
		return err
	}
	s, err := a.connect()
	if err != nil {
		return err
	}
	byNeed(manifests)
	failed := 0
	for _, m := range manifests {
		name, result, err := a.one(ctx, s, m)
		if err != nil {
			failed++
			fmt.Fprintf(a.env.Err, "error: %s: %v\n", m.source, err)
			if ctx.Err() != nil {
				break
			}
			continue
		}
		fmt.Fprintf(a.env.Out, "%s %s\n", name, result)
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d objects could not be applied", failed, len(manifests))
	}
	return nil
}

func (a *apply) one(ctx context.Context, s *server, m manifest) (name, result string, err error) {
	if m.err != nil {
		return "", "", m.err
	}
	mapping, err := s.locate(m)
	if err != nil {
		return "", "", err
	}
	name = label(mapping.GroupVersionKind.GroupKind(), m.object.GetName())
	body, err := json.Marshal(m.object)
	if err != nil {
		return "", "", fmt.Errorf("encoding %s: %w", name, err)
	}
	resource := s.resource(mapping, m.object.GetNamespace())
	before, err := resourceVersion(ctx, resource, m.object.GetName())
	if err != nil {
		return "", "", err
	}
	options := metav1.PatchOptions{FieldManager: fieldManager, Force: &a.force, FieldValidation: metav1.FieldValidationStrict}
	if a.dryRun {
		options.DryRun = []string{metav1.DryRunAll}
	}
	after, err := resource.Patch(ctx, m.object.GetName(), types.ApplyPatchType, body, options)
	if err != nil {
		return "", "", err
	}
	switch {
	case before == "":
		result = "created"
	case before == after.GetResourceVersion():
		result = "unchanged"
	default:
		result = "configured"
	}
	if a.dryRun {
		result += " (dry run)"
	}
	return name, result, nil
}

// resourceVersion is that of the object as it is; empty if there is none.
func resourceVersion(ctx context.Context, resource dynamic.ResourceInterface, name string) (string, error) {
	object, err := resource.Get(ctx, name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return "", nil
	case err != nil:
		return "", err
	default:
		return object.GetResourceVersion(), nil
	}
}

// locate finds the resource of a manifest and sets the namespace where it names none.
func (s *server) locate(m manifest) (*meta.RESTMapping, error) {
	o := m.object
	if o.GetName() == "" {
		return nil, fmt.Errorf("the %s has no metadata.name", o.GetKind())
	}
	mapping, err := s.mappingFor(o.GroupVersionKind())
	if err != nil {
		return nil, err
	}
	if mapping.Scope.Name() != meta.RESTScopeNameNamespace {
		return mapping, nil
	}
	switch {
	case o.GetNamespace() == "":
		o.SetNamespace(s.namespace)
	case s.enforced && o.GetNamespace() != s.namespace:
		return nil, fmt.Errorf("the namespace of %s is %s, and --namespace says %s", o.GetName(), o.GetNamespace(), s.namespace)
	}
	return mapping, nil
}
