package answer

import (
	"context"
	"fmt"

	"github.com/meridian-federation/meridian/internal/question"
	"github.com/meridian-federation/meridian/ipam"
)

// check audits a place, and mends what is found where that is asked for.
func check(ctx context.Context, office Office, r question.IPAMCheckRequest, node *question.Node) error {
	if t, _ := open(office); t == nil && office != nil && office.SetBack() != nil {
		return checkSetBack(ctx, office, r, node)
	}
	return within(office, node, func(t *ipam.Tier) error {
		report, err := t.Audit(ctx)
		if err != nil {
			return err
		}
		var done []string
		if r.Repair && len(report.Findings) > 0 {
			var failed error
			if done, failed = t.Repair(ctx, report); failed != nil {
				done = append(done, "not all could be mended: "+failed.Error())
			}
			if report, err = t.Audit(ctx); err != nil {
				return err
			}
		}
		node.Space = begin(t)
		node.Space.Check = checkOf(report)
		node.Space.Check.Repaired = done
		return nil
	})
}

// checkSetBack tells of a ledger that was set back, or accepts it as it is.
func checkSetBack(ctx context.Context, office Office, r question.IPAMCheckRequest, node *question.Node) error {
	why := office.SetBack()
	if !r.Repair {
		node.Space = &question.Space{Check: &question.SpaceCheck{Total: 1, Findings: []question.Finding{{Kind: ipam.ReasonStoreSetBack, Mendable: true,
			Message: fmt.Sprintf("%v; a repair accepts the store as it is, and what was allocated since is to be asked for anew", why)}}}}
		return nil
	}
	report, err := office.Repair(ctx)
	if err != nil {
		node.Unanswered = err.Error()
		return nil
	}
	c := &question.SpaceCheck{Entries: int64(report.Entries), Blocks: report.Blocks, Total: len(report.Findings),
		Repaired: []string{fmt.Sprintf("the store is accepted as it is, at revision %d", report.Position.Revision)}}
	for _, f := range report.Findings[:min(len(report.Findings), question.MaxFindings)] {
		c.Findings = append(c.Findings, question.Finding{Kind: string(f.Fault), Pool: f.Pool, Prefix: f.Prefix, Owner: f.Owner, Message: f.Detail})
	}
	node.Space = &question.Space{Check: c}
	return nil
}

func checkOf(r ipam.Report) *question.SpaceCheck {
	c := &question.SpaceCheck{Entries: int64(r.Entries), Blocks: r.Blocks, Total: len(r.Findings)}
	if r.More {
		c.Total++ // at least
	}
	for _, f := range r.Findings[:min(len(r.Findings), question.MaxFindings)] {
		c.Findings = append(c.Findings, question.Finding{Kind: f.Kind, Pool: f.Pool, Prefix: f.Prefix, Owner: f.Owner, Message: f.Message,
			Mendable: f.Mendable})
	}
	return c
}
