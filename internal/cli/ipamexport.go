package cli

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/meridian-federation/meridian/api/v1alpha1"
	"github.com/meridian-federation/meridian/internal/cli/plan"
	"github.com/meridian-federation/meridian/internal/question"
)

func newIPAMExport(o *options) *cobra.Command {
	a := &asking{options: o}
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Write the address plan as it is: ranges, reservations, and who has what",
		Long: "Writes the ranges and reservations of all IPPools, and all that is taken at any place, as CSV (default) or JSON. import\n" +
			"reads it back: ranges, reservations, and IPClaims that become static ones. Rows of kind held are of those who ask for\n" +
			"their addresses by themselves, such as applications and clusters, and are left out then.",
		Example: "  meridian ipam export > plan.csv",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return ipamExport(cmd.Context(), a) },
	}
	cmd.Flags().StringVarP(&a.output, "output", "o", "csv", "csv or json")
	cmd.Flags().DurationVar(&a.timeout, "timeout", defaultPatience, "how long to wait for each of the tree's answers")
	return cmd
}

func ipamExport(ctx context.Context, a *asking) error {
	var out plan.Writer
	switch a.output {
	case "csv":
		out = plan.NewCSV(a.env.Out)
	case "json":
		out = plan.NewJSON(a.env.Out)
	default:
		return fmt.Errorf("--output is %q, and can be csv or json", a.output)
	}
	a.output = ""
	s, err := a.connect()
	if err != nil {
		return err
	}
	if err := exportPools(ctx, s, out); err != nil {
		return err
	}
	top, err := a.ask(ctx, question.KindIPAMShow, question.IPAMShowRequest{})
	if err != nil {
		return err
	}
	gaps, err := a.exportNode(ctx, top, question.Path{}, out)
	if err != nil {
		return err
	}
	if err := out.Close(); err != nil {
		return err
	}
	if len(gaps) > 0 {
		return fmt.Errorf("not all of the plan could be had: %s", strings.Join(gaps, "; "))
	}
	return nil
}

// exportPools writes the ranges and reservations.
func exportPools(ctx context.Context, s *server, out plan.Writer) error {
	pools, err := listed[v1alpha1.IPPool](ctx, s, "ippools", "")
	if err != nil {
		return fmt.Errorf("listing IPPools: %w", err)
	}
	for _, p := range pools {
		row := func(kind plan.Kind, text string, draining bool) error {
			prefix, err := netip.ParsePrefix(text)
			if err != nil {
				return fmt.Errorf("reading IPPool %s: %w", p.Name, err)
			}
			return out.Write(plan.Row{Kind: kind, Prefix: prefix, Pool: p.Name, Purpose: p.Spec.Purpose, Network: p.Spec.Network, Draining: draining})
		}
		for _, r := range p.Spec.Ranges {
			if err := row(plan.Range, r.CIDR, r.Draining); err != nil {
				return err
			}
		}
		for _, r := range p.Spec.Reserved {
			if err := row(plan.Reserved, r, false); err != nil {
				return err
			}
		}
	}
	return nil
}

// exportNode writes what is taken at a node and below it. Gaps are places that did not answer.
func (a *asking) exportNode(ctx context.Context, n *question.Node, at question.Path, out plan.Writer) (gaps []string, err error) {
	switch {
	case n.Unanswered != "":
		return []string{at.String() + ": " + n.Unanswered}, nil
	case n.Omitted != "" && n.Tier == question.TierGlobal && omitsNodes(n.Omitted):
		gaps = append(gaps, n.Omitted)
	}
	request := question.IPAMExportRequest{Target: at}
	for n.Space != nil {
		page, err := a.spacePage(ctx, request)
		if err != nil {
			return append(gaps, at.String()+": "+err.Error()), nil
		}
		for _, e := range page.Entries {
			if err := exportEntry(e, at, out); err != nil {
				return nil, err
			}
		}
		if request.After = page.Next; page.Next == "" {
			break
		}
	}
	for i := range n.Children {
		more, err := a.exportNode(ctx, &n.Children[i], at.To(&n.Children[i]), out)
		if err != nil {
			return nil, err
		}
		gaps = append(gaps, more...)
	}
	return gaps, nil
}

// omitsNodes tells whether an answer that was too long lost more than detail.
func omitsNodes(omitted string) bool {
	return slices.ContainsFunc([]string{"clusters", "zones", "regions"}, func(what string) bool { return strings.Contains(omitted, what) })
}

func (a *asking) spacePage(ctx context.Context, request question.IPAMExportRequest) (*question.SpacePage, error) {
	top, err := a.ask(ctx, question.KindIPAMExport, request)
	if err != nil {
		return nil, err
	}
	for _, p := range []question.Path{{Region: request.Target.Region}, request.Target} {
		if n := top.At(p); n != nil && n.Unanswered != "" {
			return nil, errors.New(n.Unanswered)
		}
	}
	n := top.At(request.Target)
	if n == nil || n.Space == nil || n.Space.Page == nil {
		return nil, errors.New("it did not answer")
	}
	return n.Space.Page, nil
}

// exportEntry writes what somebody has. What is delegated is written where it is given on, and what is in quarantine is
// nobody's.
func exportEntry(e question.SpaceEntry, at question.Path, out plan.Writer) error {
	if !e.Until.IsZero() || strings.HasPrefix(e.Owner, "delegated/") {
		return nil
	}
	row := plan.Row{Kind: plan.Held, Prefix: e.Prefix, Pool: e.Pool, Zone: at.Zone, Owner: e.Owner, Tenant: e.Tenant, Description: e.Note}
	if rest, ok := strings.CutPrefix(e.Owner, "ipclaim/"); ok {
		row.Kind = plan.Claim
		row.Namespace, row.Name, _ = strings.Cut(rest, "/")
	}
	return out.Write(row)
}
