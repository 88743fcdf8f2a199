package cli

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/meridian-federation/meridian/internal/cli/render"
	"github.com/meridian-federation/meridian/internal/question"
	"github.com/meridian-federation/meridian/internal/run"
)

// auditPatience is how long an audit may take: each place reads all that it has given.
const auditPatience = 2 * time.Minute

func newIPAM(o *options) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "ipam",
		Short: "Take and give back addresses, see who has which, and check and mend what is kept of it",
		Args:  cobra.NoArgs,
	}
	cmd.AddCommand(newIPAMPools(o), newIPAMShow(o), newIPAMAllocate(o), newIPAMRelease(o), newIPAMFind(o), newIPAMCheck(o),
		newIPAMReclaim(o), newIPAMImport(o), newIPAMExport(o))
	return cmd
}

func newIPAMPools(o *options) *cobra.Command {
	g := &get{options: o}
	cmd := &cobra.Command{
		Use:     "pools [NAME...]",
		Short:   "List the IPPools, as the hub has them",
		Example: "  meridian ipam pools -o wide",
		RunE: func(cmd *cobra.Command, args []string) error {
			return g.run(cmd.Context(), append([]string{"ippools.meridian.dev"}, args...))
		},
	}
	cmd.Flags().StringVarP(&g.output, "output", "o", "", "wide, yaml, json or name")
	return cmd
}

func newIPAMShow(o *options) *cobra.Command {
	a := &asking{options: o}
	cmd := &cobra.Command{
		Use:   "show [POOL]",
		Short: "Draw how much of each pool is taken, in all and at each region and zone",
		Long: "Draws how much is taken of what each place holds of a pool. What a place delegated to those below it is taken there,\n" +
			"and so is what is in quarantine. LARGEST FREE is the largest prefix that can still be given.",
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return ipamShow(cmd.Context(), a, question.IPAMShowRequest{Pool: strings.Join(args, "")})
		},
	}
	a.addTo(cmd.Flags())
	return cmd
}

func ipamShow(ctx context.Context, a *asking, request question.IPAMShowRequest) error {
	top, err := a.ask(ctx, question.KindIPAMShow, request)
	if err != nil {
		return err
	}
	if a.output != "" {
		return write(a.env.Out, a.output, top)
	}
	return render.Space(a.env.Out, top)
}

func newIPAMFind(o *options) *cobra.Command {
	a := &asking{options: o}
	cmd := &cobra.Command{
		Use:   "find ADDRESS|PREFIX",
		Short: "Tell who has an address, and by which chain of delegation",
		Long: "Tells who has an address, or anything of a prefix: from Global's range over the region's prefix and the zone's down to\n" +
			"the owner, since when, and until when it is in quarantine if it was released.",
		Example: "  meridian ipam find 10.16.4.7\n  meridian ipam find 2001:db8:16::/48",
		Args:    cobra.ExactArgs(1),
		RunE:    func(cmd *cobra.Command, args []string) error { return ipamFind(cmd.Context(), a, args[0]) },
	}
	a.addTo(cmd.Flags())
	return cmd
}

func ipamFind(ctx context.Context, a *asking, arg string) error {
	prefix, err := readPrefix(arg)
	if err != nil {
		return err
	}
	request := question.IPAMFindRequest{Prefix: prefix}
	if err := request.Validate(); err != nil {
		return err
	}
	top, err := a.ask(ctx, question.KindIPAMFind, request)
	if err != nil {
		return err
	}
	if a.output != "" {
		return write(a.env.Out, a.output, top)
	}
	return render.Found(a.env.Out, top, prefix, a.env.Now())
}

// readPrefix reads a prefix, or an address as the prefix of its full length.
func readPrefix(s string) (netip.Prefix, error) {
	if strings.Contains(s, "/") {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			return netip.Prefix{}, fmt.Errorf("%q is no prefix, such as 10.0.0.0/24", s)
		}
		return p, nil
	}
	a, err := netip.ParseAddr(s)
	if err != nil || a.Zone() != "" {
		return netip.Prefix{}, fmt.Errorf("%q is no address, such as 10.0.0.1, nor a prefix, such as 10.0.0.0/24", s)
	}
	return netip.PrefixFrom(a, a.BitLen()), nil
}

// check is one run of the command.
type check struct {
	*asking
	at          string
	repair, yes bool
}

func newIPAMCheck(o *options) *cobra.Command {
	c := &check{asking: &asking{options: o}}
	cmd := &cobra.Command{
		Use:   "check [--repair --yes]",
		Short: "Audit who holds what at each place, and mend what is found wrong",
		Long: "Has Global, each region and each zone hold what it has given against what asks for it and against what its parent\n" +
			"delegated: overlaps, leaks, drift, and a ledger whose store was set back to an older copy. It fails if anything is\n" +
			"found, or a place does not answer. With --repair it does what the findings say would mend them; look at them first.",
		Example: "  meridian ipam check\n  meridian ipam check --repair --yes --at west/west-a",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return c.run(cmd.Context()) },
	}
	c.addTo(cmd.Flags())
	c.timeout = auditPatience
	cmd.Flags().Lookup("timeout").DefValue = auditPatience.String()
	cmd.Flags().StringVar(&c.at, "at", "global", "REGION or REGION/ZONE: only what is there, and below it")
	cmd.Flags().BoolVar(&c.repair, "repair", false, "mend what is found; needs --yes")
	cmd.Flags().BoolVar(&c.yes, "yes", false, "with --repair: it is meant")
	return cmd
}

func (c *check) run(ctx context.Context) error {
	if c.repair != c.yes {
		return errors.New("--repair and --yes go together: look first at what `meridian ipam check` finds")
	}
	target, err := question.ParsePlace(c.at)
	if err != nil {
		return err
	}
	request := question.IPAMCheckRequest{Target: target, Repair: c.repair}
	if err := request.Validate(); err != nil {
		return err
	}
	top, err := c.ask(ctx, question.KindIPAMCheck, request)
	if err != nil {
		return err
	}
	if c.output != "" {
		err = write(c.env.Out, c.output, top)
	} else {
		err = render.SpaceCheck(c.env.Out, top)
	}
	if err != nil {
		return err
	}
	found, silent := judged(top)
	switch {
	case silent > 0:
		return fmt.Errorf("%d places did not answer: nothing is known of what they hold", silent)
	case found > 0:
		return fmt.Errorf("%d findings: %w", found, run.ErrTold)
	case top.At(target) == nil || top.At(target).Space == nil:
		return fmt.Errorf("%s did not answer", target)
	}
	return nil
}

// judged counts what the places found and did not mend, and the places that did not answer.
func judged(n *question.Node) (found, silent int) {
	if n.Unanswered != "" {
		silent++
	}
	if n.Space != nil && n.Space.Check != nil {
		found += n.Space.Check.Total
	}
	for i := range n.Children {
		f, s := judged(&n.Children[i])
		found, silent = found+f, silent+s
	}
	return found, silent
}

func newIPAMReclaim(o *options) *cobra.Command {
	a := &asking{options: o}
	var yes, force bool
	cmd := &cobra.Command{
		Use:   "reclaim REGION[/ZONE] --yes",
		Short: "Take back what was delegated to a region or a zone that is gone for good",
		Long: "Takes back all address space that was delegated to a region or a zone that will never come back. Nothing is taken back\n" +
			"because a place is silent: whoever runs this says that nothing uses these addresses any more. If the place does come\n" +
			"back, it closes what it held, and reports who has something of it.",
		Example: "  meridian ipam reclaim west/west-b --yes",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !yes {
				return errors.New("say --yes if the place is gone for good: its addresses are given to others after the quarantine")
			}
			return ipamReclaim(cmd.Context(), a, args[0], force)
		},
	}
	a.addTo(cmd.Flags())
	cmd.Flags().BoolVar(&yes, "yes", false, "the place is gone for good")
	cmd.Flags().BoolVar(&force, "force", false, "do it although the place is in the inventory, or connected")
	return cmd
}

func ipamReclaim(ctx context.Context, a *asking, arg string, force bool) error {
	target, err := question.ParsePlace(arg)
	if err != nil {
		return err
	}
	request := question.IPAMReclaimRequest{Target: target, Force: force}
	if err := request.Validate(); err != nil {
		return err
	}
	top, err := a.ask(ctx, question.KindIPAMReclaim, request)
	if err != nil {
		return err
	}
	if a.output != "" {
		return write(a.env.Out, a.output, top)
	}
	parent, _ := target.Parent() // which is who took it back
	return render.Confirm(a.env.Out, top, parent, "delegation to "+target.String())
}
