package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/meridian-federation/meridian/internal/cli/render"
)

// asTable asks a server to print its objects.
const asTable = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"

type get struct {
	*options
	all      bool
	selector string
	output   string
	noHead   bool
}

func newGet(o *options) *cobra.Command {
	g := &get{options: o}
	cmd := &cobra.Command{
		Use:   "get KIND [NAME...] | KIND/NAME...",
		Short: "List resources",
		Example: "  meridian get applications -A\n" +
			"  meridian get application cart -n shop -o yaml\n" +
			"  meridian get zones,clusters -o wide",
		RunE: func(cmd *cobra.Command, args []string) error { return g.run(cmd.Context(), args) },
	}
	flags := cmd.Flags()
	flags.BoolVarP(&g.all, "all-namespaces", "A", false, "those of all namespaces")
	flags.StringVarP(&g.selector, "selector", "l", "", "only those whose labels match")
	flags.StringVarP(&g.output, "output", "o", "", "wide, yaml, json or name")
	flags.BoolVar(&g.noHead, "no-headers", false, "leave the headings out")
	return cmd
}

func (g *get) run(ctx context.Context, args []string) error {
	if !slices.Contains([]string{"", "wide", "yaml", "json", "name"}, g.output) {
		return fmt.Errorf("--output is %q, and can be wide, yaml, json or name", g.output)
	}
	s, err := g.connect()
	if err != nil {
		return err
	}
	chosen, err := s.selections(args)
	if err != nil {
		return err
	}
	if g.all && slices.ContainsFunc(chosen, func(c selection) bool { return len(c.names) > 0 }) {
		return errors.New("an object is named with its namespace; --all-namespaces goes with lists")
	}
	if g.output == "" || g.output == "wide" {
		return g.tables(ctx, s, chosen)
	}
	return g.objects(ctx, s, chosen)
}

// tables writes what the server prints of each kind.
func (g *get) tables(ctx context.Context, s *server, chosen []selection) error {
	shown := 0
	var errs []error
	for _, c := range chosen {
		table, err := g.table(ctx, s, c)
		if err != nil {
			errs = append(errs, err)
		}
		if table == nil || len(table.Rows) == 0 {
			continue
		}
		if shown++; shown > 1 {
			fmt.Fprintln(g.env.Out)
		}
		o := render.TableOptions{
			Wide: g.output == "wide", NoHead: g.noHead,
			Namespaces: g.all && c.mapping.Scope.Name() == meta.RESTScopeNameNamespace,
		}
		if len(chosen) > 1 {
			o.Prefix = label(c.mapping.GroupVersionKind.GroupKind(), "")
		}
		if err := render.Table(g.env.Out, table, o); err != nil {
			return err
		}
	}
	if shown == 0 && len(errs) == 0 {
		g.nothing(s, chosen)
	}
	return errors.Join(errs...)
}

func (g *get) nothing(s *server, chosen []selection) {
	where := ""
	if !g.all && len(chosen) == 1 && chosen[0].mapping.Scope.Name() == meta.RESTScopeNameNamespace {
		where = " in namespace " + s.namespace
	}
	fmt.Fprintf(g.env.Err, "No resources found%s.\n", where)
}

// table asks for one kind: all of it, or each name by itself, whose rows make one table. What was found is returned
// beside an error about the rest.
func (g *get) table(ctx context.Context, s *server, c selection) (*metav1.Table, error) {
	if len(c.names) == 0 {
		return g.fetch(ctx, s, c.mapping, "")
	}
	var sum *metav1.Table
	var errs []error
	for _, name := range c.names {
		t, err := g.fetch(ctx, s, c.mapping, name)
		switch {
		case err != nil:
			errs = append(errs, err)
		case sum == nil:
			sum = t
		default:
			sum.Rows = append(sum.Rows, t.Rows...)
		}
	}
	return sum, errors.Join(errs...)
}

func (g *get) fetch(ctx context.Context, s *server, m *meta.RESTMapping, name string) (*metav1.Table, error) {
	path := []string{"/apis", m.Resource.Group, m.Resource.Version}
	if m.Resource.Group == "" {
		path = []string{"/api", m.Resource.Version}
	}
	if m.Scope.Name() == meta.RESTScopeNameNamespace && !g.all {
		path = append(path, "namespaces", s.namespace)
	}
	path = append(path, m.Resource.Resource)
	if name != "" {
		path = append(path, name)
	}
	request := s.rest.Get().AbsPath(path...).SetHeader("Accept", asTable)
	if g.selector != "" {
		request = request.Param("labelSelector", g.selector)
	}
	answer := request.Do(ctx)
	// Error reads what the server says; Raw would have only the HTTP status in words.
	if err := answer.Error(); err != nil {
		return nil, err
	}
	raw, err := answer.Raw()
	if err != nil {
		return nil, err
	}
	var table metav1.Table
	if err := json.Unmarshal(raw, &table); err != nil {
		return nil, fmt.Errorf("reading the table of %s: %w", m.Resource.Resource, err)
	}
	return &table, nil
}

// objects writes the objects themselves.
func (g *get) objects(ctx context.Context, s *server, chosen []selection) error {
	var all []*unstructured.Unstructured
	var errs []error
	for _, c := range chosen {
		found, err := s.fetch(ctx, c, g.all, g.selector)
		all = append(all, found...)
		if err != nil {
			errs = append(errs, err)
		}
	}
	if g.output == "name" {
		for _, o := range all {
			fmt.Fprintln(g.env.Out, label(o.GroupVersionKind().GroupKind(), o.GetName()))
		}
		return errors.Join(errs...)
	}
	if len(chosen) == 1 && len(chosen[0].names) == 1 {
		if len(all) == 1 {
			return write(g.env.Out, g.output, all[0])
		}
		return errors.Join(errs...)
	}
	items := make([]any, 0, len(all))
	for _, o := range all {
		items = append(items, o.Object)
	}
	list := map[string]any{"apiVersion": "v1", "kind": "List", "items": items}
	return errors.Join(append(errs, write(g.env.Out, g.output, list))...)
}

// write writes v as yaml or json.
func write(w io.Writer, format string, v any) error {
	if o, ok := v.(*unstructured.Unstructured); ok {
		v = o.Object
	}
	if format == "yaml" {
		return render.YAML(w, v)
	}
	return render.JSON(w, v)
}
