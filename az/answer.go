package az

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/meridian-federation/meridian/internal/buildinfo"
	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/question"
	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/store"
	"github.com/meridian-federation/meridian/ipam/answer"
)

// answer answers the region's questions, which reach the leader: by the sums, and by what all replicas, this one like the
// others, say of their clusters.
func (z *Zone) answer(ctx context.Context, q feed.Question) ([]byte, error) {
	node := question.Node{Tier: question.TierZone, Name: z.cfg.Zone}
	var err error
	switch q.Kind {
	case question.KindApplication:
		err = z.application(ctx, q, &node)
	case question.KindOverview:
		z.overview(ctx, q, &node)
	case question.KindConfirm:
		err = z.confirm(ctx, q, &node)
	case question.KindCanI:
		err = z.canI(q, &node)
	case question.KindExport:
		err = z.export(ctx, q, &node)
	default:
		if !answer.Kinds(q.Kind) {
			return nil, fmt.Errorf("%w: a zone knows nothing of %q", question.ErrInvalid, q.Kind)
		}
		_, err = answer.At(ctx, z.office(), question.Path{Region: z.cfg.Region, Zone: z.cfg.Zone}, q.Kind, q.Payload, &node)
	}
	if err != nil {
		return nil, err
	}
	return question.Encode(node)
}

// office keeps the zone's addresses; nil where none are kept.
func (z *Zone) office() answer.Office {
	if z.tenure == nil {
		return nil
	}
	return z.tenure
}

// application says what the zone knows of an application: in sum, and in each of its clusters.
func (z *Zone) application(ctx context.Context, q feed.Question, node *question.Node) error {
	req, err := question.Decode[question.ApplicationRequest](q.Payload)
	if err != nil {
		return err
	}
	sums := z.sums.Load()
	e, ok := z.mirror.Snapshot().Get(record.AssignmentKey(req.Namespace, req.Name, z.cfg.Zone))
	if !ok || sums == nil {
		return nil
	}
	a, err := record.DecodeAssignment(e.Record)
	if err != nil {
		return nil
	}
	node.Application = described(sums.application(record.ServiceName(req.Namespace, req.Name)))
	node.Application.Namespace, node.Application.Name = req.Namespace, req.Name
	node.Application.Revision, node.Application.Draining = a.Revision, a.Draining
	node.Application.AcceptedAt, node.Application.ReceivedAt = a.AcceptedAt, e.Written
	answers := z.gather(ctx, q, node)
	z.lament(node, answers, z.bound(req))
	for i := range node.Children {
		if c := node.Children[i].Application; c != nil {
			c.AcceptedAt = a.AcceptedAt
		}
	}
	return nil
}

// application is the sum over all clusters.
func (s *sums) application(name string) record.Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	sum, _ := s.report.Table().Merge(name)
	return sum
}

// described is a status as an answer has it.
func described(s record.Status) *question.Application {
	return &question.Application{Namespace: s.Namespace, Name: s.Application, Revision: s.Revision, Desired: s.Desired,
		Updated: s.Updated, Ready: s.Ready, Clusters: s.Clusters, Converged: s.Converged, AppliedAt: s.AppliedAt,
		ReadyAt: s.ReadyAt, Problems: question.Problems(s.Problems)}
}

// bound are the clusters that an application is bound to, sorted.
func (z *Zone) bound(req question.ApplicationRequest) []string {
	var out []string
	for e := range z.mirror.Snapshot().Prefix(record.KindBinding, record.ServiceName(req.Namespace, req.Name)+"/") {
		if _, cluster, ok := cutLast(e.Key.Name); ok {
			out = append(out, cluster)
		}
	}
	return out
}

// gather puts a question to all replicas at once and hangs what they say of their clusters below the zone, sorted, and with
// it what they left out. It returns the replicas' answers by ID.
func (z *Zone) gather(ctx context.Context, q feed.Question, node *question.Node) map[string]question.Node {
	answers := map[string]question.Node{}
	var omitted []string
	for _, a := range question.Gather(ctx, question.Node{}, z.owners(), q.Kind, q.Payload).Children {
		answers[a.Name] = a
		node.Children = append(node.Children, a.Children...)
		node.Confirmed = append(node.Confirmed, a.Confirmed...)
		if a.Omitted != "" { // it may have left clusters out
			omitted = append(omitted, "replica "+a.Name+": "+a.Omitted)
		}
	}
	node.Omitted = sentences(omitted)
	// Two replicas may speak of a cluster that changes hands: then the one whose agent answered.
	slices.SortStableFunc(node.Children, func(a, b question.Node) int {
		return cmp.Or(byName(a, b), cmp.Compare(len(a.Unanswered), len(b.Unanswered)))
	})
	node.Children = slices.CompactFunc(node.Children, func(a, b question.Node) bool { return a.Name == b.Name })
	return answers
}

// lament adds those of the clusters that nobody spoke of because their owner did not answer, or they have none.
func (z *Zone) lament(node *question.Node, answers map[string]question.Node, clusters []string) {
	for _, name := range clusters {
		i, spoken := slices.BinarySearchFunc(node.Children, name, func(n question.Node, name string) int {
			return strings.Compare(n.Name, name)
		})
		if spoken {
			continue
		}
		claim, _ := z.roster.claim(name)
		owner, asked := answers[claim.Owner]
		missing := question.Node{Tier: question.TierCluster, Name: name}
		switch {
		case !asked:
			missing.Unanswered = "no replica serves it yet"
		case owner.Unanswered != "":
			missing.Unanswered = "replica " + claim.Owner + " serves it: " + owner.Unanswered
		default: // it has just been claimed, or has not come to this
			continue
		}
		node.Children = slices.Insert(node.Children, i, missing)
	}
}

// overview describes the zone, its replicas and its clusters.
func (z *Zone) overview(ctx context.Context, q feed.Question, node *question.Node) {
	snapshot := z.mirror.Snapshot()
	position := snapshot.Position()
	o := &question.Overview{Epoch: question.EpochText(position.Epoch), Revision: position.Revision, Leader: z.cfg.ID,
		Version: buildinfo.Read().Version, Applications: count(snapshot, record.KindAssignment),
		Clusters: count(snapshot, record.KindCluster), Identity: z.identity.Describe()}
	if sums := z.sums.Load(); sums != nil {
		o.Nodes = sums.nodes()
	}
	node.Overview = o
	answers := z.gather(ctx, q, node)
	for _, a := range answers {
		if a.Overview != nil {
			o.Sessions = append(o.Sessions, a.Overview.Sessions...)
		}
	}
	slices.SortFunc(o.Sessions, func(a, b question.Session) int { return strings.Compare(a.Peer, b.Peer) })
	var all []string
	claimed := map[string]int{}
	for e := range snapshot.All(record.KindCluster) {
		all = append(all, e.Key.Name)
		claim, _ := z.roster.claim(e.Key.Name)
		claimed[claim.Owner]++
	}
	z.lament(node, answers, all)
	for _, m := range z.roster.replicas() {
		replica := question.Replica{ID: m.ID, Address: m.Address, Clusters: claimed[m.ID],
			Leaving: m.Leaving, Connected: m.ID == z.cfg.ID || z.replicas.Connected(m.ID)}
		if a := answers[m.ID].Overview; a != nil {
			replica.Identity = a.Identity
		}
		o.Replicas = append(o.Replicas, replica)
	}
	z.parent.Describe("region/"+z.cfg.Region, o)
}

func count(snapshot *store.Snapshot, kind record.Kind) int {
	n := 0
	for range snapshot.All(kind) {
		n++
	}
	return n
}

// nodes is the number of nodes in all clusters, as far as they are known.
func (s *sums) nodes() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, c := range s.clusters {
		if c.health != nil {
			n += int(c.health.Nodes)
		}
	}
	return n
}

// confirm goes on with what waits for a person: in one cluster, or for the zone here and in its clusters.
func (z *Zone) confirm(ctx context.Context, q feed.Question, node *question.Node) error {
	req, err := question.Decode[question.ConfirmRequest](q.Payload)
	if err != nil {
		return err
	}
	if err := req.Validate(); err != nil {
		return err
	}
	cluster, below := req.Target.Child(question.TierZone)
	if _, known := z.mirror.Snapshot().Get(record.ClusterKey(cluster)); below && !known {
		return fmt.Errorf("%w: cluster %s is not in zone %s", question.ErrInvalid, cluster, z.cfg.Zone)
	}
	var refused error
	if in := z.parent.Intake(); in != nil && !below {
		var done string
		if done, refused = in.Confirm(ctx, req.What); refused == nil {
			node.Confirmed = append(node.Confirmed, done)
		}
	}
	answers := z.gather(ctx, q, node)
	if below {
		z.lament(node, answers, []string{cluster})
	} else {
		node.Omitted = sentences(append(silent(answers), node.Omitted))
	}
	if refused != nil && len(node.Children) == 0 && node.Omitted == "" {
		return fmt.Errorf("%w: %w", question.ErrInvalid, refused)
	}
	return nil
}

// silent says which replicas did not answer.
func silent(answers map[string]question.Node) (out []string) {
	for id, a := range answers {
		if a.Unanswered != "" {
			out = append(out, "replica "+id+" did not say what waits in its clusters: "+a.Unanswered)
		}
	}
	slices.Sort(out)
	return out
}

// sentences joins what is said, if anything is.
func sentences(all []string) string {
	return strings.Join(slices.DeleteFunc(all, func(s string) bool { return s == "" }), "; ")
}
