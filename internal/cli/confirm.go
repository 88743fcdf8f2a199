package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/meridian-federation/meridian/api/v1alpha1"
	"github.com/meridian-federation/meridian/internal/cli/render"
	"github.com/meridian-federation/meridian/internal/question"
)

func newConfirm(o *options) *cobra.Command {
	a := &asking{options: o}
	var what string
	cmd := &cobra.Command{
		Use:   "confirm TARGET --what " + strings.Join(question.Whats(), "|"),
		Short: "Let a node go on with what it held back or refused",
		Long: "Lets one node of the tree go on: with removals that it held back, or with a parent or API server that it refuses\n" +
			"because it has gone back (floor), lost its history (epoch) or is another one (identity). `meridian status` shows what\n" +
			"waits. TARGET is global, region/REGION, region/REGION/zone/ZONE, region/REGION/zone/ZONE/cluster/CLUSTER, or the name\n" +
			"alone where no other node has it.",
		Example: "  meridian confirm west-a --what removals",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return confirm(cmd.Context(), a, args[0], what)
		},
	}
	a.addTo(cmd.Flags())
	cmd.Flags().StringVar(&what, "what", "", strings.Join(question.Whats(), ", "))
	return cmd
}

func confirm(ctx context.Context, a *asking, arg, what string) error {
	request := question.ConfirmRequest{What: what}
	if what == "" {
		return fmt.Errorf("say with --what is to be confirmed: %s", strings.Join(question.Whats(), ", "))
	}
	if err := request.Validate(); err != nil {
		return err
	}
	target, err := a.target(ctx, arg)
	if err != nil {
		return err
	}
	request.Target = target
	node, err := a.ask(ctx, question.KindConfirm, request)
	if err != nil {
		return err
	}
	if a.output != "" {
		return write(a.env.Out, a.output, node)
	}
	return render.Confirm(a.env.Out, node, target, what)
}

// target reads a path, or finds the one node of that name in the inventory.
func (a *asking) target(ctx context.Context, arg string) (question.Path, error) {
	if arg == string(question.TierGlobal) || strings.Contains(arg, "/") {
		return question.ParsePath(arg)
	}
	s, err := a.connect()
	if err != nil {
		return question.Path{}, err
	}
	found, err := s.places(ctx, arg)
	switch {
	case err != nil:
		return question.Path{}, fmt.Errorf("looking for %s in the inventory: %w", arg, err)
	case len(found) == 0:
		return question.Path{}, fmt.Errorf("there is no region, zone or cluster %s", arg)
	case len(found) > 1:
		return question.Path{}, fmt.Errorf("%s is the name of several: say which of %v", arg, found)
	default:
		return found[0], nil
	}
}

// places are the nodes of that name.
func (s *server) places(ctx context.Context, name string) ([]question.Path, error) {
	zones, err := s.inventory(ctx, "zones", "region")
	if err != nil {
		return nil, err
	}
	clusters, err := s.inventory(ctx, "clusters", "zone")
	if err != nil {
		return nil, err
	}
	regions, err := s.inventory(ctx, "regions", "")
	if err != nil {
		return nil, err
	}
	var found []question.Path
	if _, ok := regions[name]; ok {
		found = append(found, question.Path{Region: name})
	}
	if region, ok := zones[name]; ok {
		found = append(found, question.Path{Region: region, Zone: name})
	}
	if zone, ok := clusters[name]; ok {
		region, ok := zones[zone]
		if !ok {
			return nil, errors.New("its zone " + zone + " does not exist")
		}
		found = append(found, question.Path{Region: region, Zone: zone, Cluster: name})
	}
	return found, nil
}

// inventory maps each object of a kind to the one that it lies in: the field of its spec.
func (s *server) inventory(ctx context.Context, plural, field string) (map[string]string, error) {
	list, err := s.dynamic.Resource(v1alpha1.GroupVersion.WithResource(plural)).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	out := map[string]string{}
	for _, o := range list.Items {
		parent, _, _ := unstructured.NestedString(o.Object, "spec", field)
		out[o.GetName()] = parent
	}
	return out, nil
}
