package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"github.com/meridian-federation/meridian/api/v1alpha1"
	"github.com/meridian-federation/meridian/internal/cli/plan"
)

const (
	// maxPlan bounds a file that is imported, in bytes.
	maxPlan = 64 << 20
	// importAtOnce is how many IPClaims are under way at the server at once.
	importAtOnce = 8
)

// importing is one run of the command.
type importing struct {
	*options
	defaults    plan.Defaults
	purpose     string
	dryRun      bool
	skipInvalid bool

	server *server
	plan   *plan.Plan
}

func newIPAMImport(o *options) *cobra.Command {
	i := &importing{options: o}
	cmd := &cobra.Command{
		Use:   "import FILE...",
		Short: "Take over an address plan, from CSV or NetBox's JSON",
		Long: "Reads address plans: CSV with a header, the JSON that NetBox's API answers for prefixes and ip-addresses, or what\n" +
			"`meridian ipam export` wrote; - is standard input. Each row becomes a range of an IPPool, a reservation in one, or a\n" +
			"static IPClaim. Columns are prefix (or cidr, or address), kind (range, reserved, claim), pool, purpose, network,\n" +
			"namespace, name, zone and description. Where kind is empty, a prefix that lies in no other is a range, what holds\n" +
			"others is left out, and the rest are claims. Files that belong together are given together.\n\n" +
			"All rows are held against each other, against what is there and against the API server's own checks before anything\n" +
			"is written. If a row is wrong nothing is done, unless --skip-invalid says so. What is there already is left alone.",
		Example: "  meridian ipam import plan.csv --dry-run\n" +
			"  meridian ipam import prefixes.json addresses.json --pool corp --purpose Node -n platform",
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return i.run(cmd.Context(), args) },
	}
	flags := cmd.Flags()
	flags.StringVar(&i.defaults.Pool, "pool", "", "IPPool of rows that name none; default: NetBox's role, and for claims the pool that they lie in")
	flags.StringVar(&i.purpose, "purpose", "", "purpose of IPPools that are made, where a row has none: Service, Pod, Node or LoadBalancer")
	flags.StringVar(&i.defaults.Network, "network", "", "Network of rows that name none; default: the VRF that NetBox has")
	flags.StringVar(&i.defaults.Zone, "zone", "", "Zone of claims that name none; default: Global gives them")
	flags.BoolVar(&i.dryRun, "dry-run", false, "say what would be done, and do nothing")
	flags.BoolVar(&i.skipInvalid, "skip-invalid", false, "leave out rows that are wrong, and import the others")
	return cmd
}

func (i *importing) run(ctx context.Context, files []string) error {
	var err error
	if i.server, err = i.connect(); err != nil {
		return err
	}
	i.defaults.Purpose, i.defaults.Namespace = v1alpha1.IPPurpose(i.purpose), i.server.namespace
	rows, err := i.read(files)
	if err != nil {
		return err
	}
	pools, claims, err := i.there(ctx, rows)
	if err != nil {
		return err
	}
	i.plan = plan.New(rows, pools, claims)
	if err := i.rehearse(ctx); err != nil {
		return err
	}
	for _, r := range i.plan.Rows {
		switch {
		case r.Err != nil:
			fmt.Fprintf(i.env.Err, "error: %s: %v\n", r.Source, r.Err)
		case r.Skipped != "":
			fmt.Fprintf(i.env.Err, "%s: %s left out: %s\n", r.Source, r.Prefix, r.Skipped)
		}
	}
	wrong := len(i.plan.Wrong())
	if wrong > 0 && !i.skipInvalid {
		return fmt.Errorf("%d of %d rows are wrong, and nothing was done; --skip-invalid imports the others", wrong, len(rows))
	}
	return i.write(ctx)
}

// read reads all rows of all files.
func (i *importing) read(files []string) ([]plan.Row, error) {
	var rows []plan.Row
	for _, name := range files {
		content, err := i.content(name)
		if err != nil {
			return nil, err
		}
		f, err := plan.Read(name, content, i.defaults)
		if err != nil {
			return nil, err
		}
		if len(f.Ignored) > 0 {
			fmt.Fprintf(i.env.Err, "%s: columns that mean nothing here: %s\n", name, strings.Join(f.Ignored, ", "))
		}
		rows = append(rows, f.Rows...)
	}
	return rows, nil
}

func (i *importing) content(name string) ([]byte, error) {
	in := i.env.In
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	content, err := io.ReadAll(io.LimitReader(in, maxPlan+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("reading %s: %w", name, err)
	case len(content) > maxPlan:
		return nil, fmt.Errorf("reading %s: it is longer than %d MiB; split it", name, maxPlan>>20)
	}
	return content, nil
}

// there is what is at the hub: all pools, and the claims of all namespaces, or, for those who may not list these, of the
// namespaces that the rows name.
func (i *importing) there(ctx context.Context, rows []plan.Row) ([]v1alpha1.IPPool, []v1alpha1.IPClaim, error) {
	pools, err := listed[v1alpha1.IPPool](ctx, i.server, "ippools", "")
	if err != nil {
		return nil, nil, fmt.Errorf("listing IPPools: %w", err)
	}
	claims, err := listed[v1alpha1.IPClaim](ctx, i.server, "ipclaims", "")
	if !apierrors.IsForbidden(err) {
		return pools, claims, err
	}
	asked := map[string]bool{"": true}
	for _, r := range rows {
		if asked[r.Namespace] {
			continue
		}
		asked[r.Namespace] = true
		some, err := listed[v1alpha1.IPClaim](ctx, i.server, "ipclaims", r.Namespace)
		if err != nil {
			return nil, nil, fmt.Errorf("listing IPClaims of namespace %s: %w", r.Namespace, err)
		}
		claims = append(claims, some...)
	}
	return pools, claims, nil
}

// listed are all objects of a kind, of one namespace or, where that is empty, of all.
func listed[T any](ctx context.Context, s *server, plural, namespace string) ([]T, error) {
	list, err := s.dynamic.Resource(v1alpha1.GroupVersion.WithResource(plural)).Namespace(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	out := make([]T, len(list.Items))
	for i := range list.Items {
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(list.Items[i].Object, &out[i]); err != nil {
			return nil, fmt.Errorf("reading %s: %w", list.Items[i].GetName(), err)
		}
	}
	return out, nil
}

// rehearse has the server check everything and keep nothing, until no row is wrong that was not.
func (i *importing) rehearse(ctx context.Context) error {
	for {
		before := len(i.plan.Wrong())
		if err := i.apply(ctx, []string{metav1.DryRunAll}); err != nil {
			return err
		}
		if len(i.plan.Wrong()) == before {
			return nil
		}
		i.plan.Judge()
	}
}

// write makes what is planned.
func (i *importing) write(ctx context.Context) error {
	suffix := ""
	if i.dryRun {
		suffix = " (dry run)"
	} else {
		before := len(i.plan.Wrong())
		if err := i.apply(ctx, nil); err != nil {
			return err
		}
		if now := i.plan.Wrong(); len(now) > before {
			last := now[len(now)-1]
			return fmt.Errorf("the server refused now what it took in the rehearsal; run it again: %s: %w", last.Source, last.Err)
		}
	}
	for _, p := range i.plan.Pools {
		what := "created"
		if p.Exists {
			what = "extended"
		}
		fmt.Fprintf(i.env.Out, "ippool.meridian.dev/%s %s: %s%s\n", p.Name, what, prefixesOf(i.plan.Rows, p.From), suffix)
	}
	for _, c := range i.plan.Claims {
		fmt.Fprintf(i.env.Out, "ipclaim.meridian.dev/%s created in %s: %s of %s%s\n", c.Name, c.Namespace, c.Spec.Prefix, c.Spec.Pool, suffix)
	}
	if len(i.plan.Pools)+len(i.plan.Claims) == 0 {
		fmt.Fprintln(i.env.Out, "There is nothing to do.")
	}
	return nil
}

func prefixesOf(rows []plan.Row, from []int) string {
	var out []string
	for _, row := range from {
		text := rows[row].Prefix.String()
		if rows[row].Kind == plan.Reserved {
			text += " reserved"
		}
		out = append(out, text)
	}
	return strings.Join(out, ", ")
}

// apply writes pools, then claims. What the server refuses becomes the error of the rows that it is made of; any other error
// ends it.
func (i *importing) apply(ctx context.Context, dryRun []string) error {
	for n := range i.plan.Pools {
		p := &i.plan.Pools[n]
		if err := i.blame(i.applyPool(ctx, p, dryRun), p.From...); err != nil {
			return fmt.Errorf("writing IPPool %s: %w", p.Name, err)
		}
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(importAtOnce)
	for n := range i.plan.Claims {
		c := &i.plan.Claims[n]
		group.Go(func() error {
			if err := i.blame(i.applyClaim(ctx, c, dryRun), c.From); err != nil {
				return fmt.Errorf("writing IPClaim %s/%s: %w", c.Namespace, c.Name, err)
			}
			return nil
		})
	}
	return group.Wait()
}

// blame makes a refusal the error of rows, each of which is written by one caller at a time.
func (i *importing) blame(err error, rows ...int) error {
	var refused apierrors.APIStatus
	if !errors.As(err, &refused) || refused.Status().Code < 400 || refused.Status().Code >= 500 {
		return err
	}
	for _, row := range rows {
		i.plan.Rows[row].Err = err
	}
	return nil
}

func (i *importing) applyPool(ctx context.Context, p *plan.Pool, dryRun []string) error {
	pools := i.server.dynamic.Resource(v1alpha1.GroupVersion.WithResource("ippools"))
	if p.Exists {
		spec := map[string]any{"ranges": p.Spec.Ranges}
		if len(p.Spec.Reserved) > 0 {
			spec["reserved"] = p.Spec.Reserved
		}
		patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"resourceVersion": p.ResourceVersion}, "spec": spec})
		if err != nil {
			return err
		}
		_, err = pools.Patch(ctx, p.Name, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: fieldManager, DryRun: dryRun})
		return err
	}
	p.APIVersion, p.Kind = v1alpha1.GroupVersion.String(), "IPPool"
	object, err := unstructuredOf(&p.IPPool)
	if err != nil {
		return err
	}
	_, err = pools.Create(ctx, object, metav1.CreateOptions{FieldManager: fieldManager, DryRun: dryRun})
	return err
}

func (i *importing) applyClaim(ctx context.Context, c *plan.NewClaim, dryRun []string) error {
	c.APIVersion, c.Kind = v1alpha1.GroupVersion.String(), "IPClaim"
	object, err := unstructuredOf(&c.IPClaim)
	if err != nil {
		return err
	}
	_, err = i.server.claims(c.Namespace).Create(ctx, object, metav1.CreateOptions{FieldManager: fieldManager, DryRun: dryRun})
	return err
}
