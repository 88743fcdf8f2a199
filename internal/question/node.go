package question

import (
	"strconv"
	"time"

	"github.com/meridian-federation/meridian/internal/record"
)

// Node is the answer of one node of the tree, with those of its children below it.
type Node struct {
	Tier Tier   `json:"tier"`
	Name string `json:"name"`
	// Unanswered says why nothing is known of the node; empty if it answered.
	Unanswered string `json:"unanswered,omitempty"`
	// Omitted says what was left out to keep the answer within its bounds.
	Omitted string `json:"omitted,omitempty"`

	// Application answers KindApplication; nil if nothing of it is at this node.
	Application *Application `json:"application,omitempty"`
	// Overview answers KindOverview.
	Overview *Overview `json:"overview,omitempty"`
	// Confirmed answers KindConfirm, at the node that it was for: one sentence for each thing done.
	Confirmed []string `json:"confirmed,omitempty"`
	// Verdict answers KindCanI, at the node that it was for.
	Verdict *Verdict `json:"verdict,omitempty"`
	// Page answers KindExport, at the cluster that it was for.
	Page *Page `json:"page,omitempty"`
	// Issued answers KindTokenCreate, Tokens KindTokenList, Rotation KindRotate; only Global has them.
	Issued   *IssuedToken `json:"issued,omitempty"`
	Tokens   []Token      `json:"tokens,omitempty"`
	Rotation *Rotation    `json:"rotation,omitempty"`
	// Space answers the questions about address space.
	Space *Space `json:"space,omitempty"`

	// Children are ordered by tier and name.
	Children []Node `json:"children,omitempty"`
}

// At finds the node that the path ends at, among n, which is Global's, and those below it; nil if it is not there.
func (n *Node) At(path Path) *Node {
	name, below := path.Child(n.Tier)
	if !below {
		return n
	}
	for i := range n.Children {
		if n.Children[i].Name == name {
			return n.Children[i].At(path)
		}
	}
	return nil
}

// To is the path of a child of the node at p.
func (p Path) To(child *Node) Path {
	switch child.Tier {
	case TierRegion:
		p.Region = child.Name
	case TierZone:
		p.Zone = child.Name
	case TierCluster:
		p.Cluster = child.Name
	}
	return p
}

// Application is what one node knows of an application: a cluster of itself, the others of all that is below them.
type Application struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	// Revision is the hash of the revision that should run here, of which the counts speak.
	Revision string `json:"revision,omitempty"`
	// Replicas wanted, running the revision, and ready.
	Desired int32 `json:"desired"`
	Updated int32 `json:"updated"`
	Ready   int32 `json:"ready"`
	// Clusters that should run it, and those that have applied all its objects.
	Clusters  int32 `json:"clusters"`
	Converged int32 `json:"converged"`
	// Draining: the place is being left; what runs stays until it is ready elsewhere.
	Draining bool `json:"draining,omitempty"`

	// When Global accepted the revision, this node had it, all below had applied it, and all below were ready. Zero is
	// not yet, or not known since a restart.
	AcceptedAt time.Time `json:"acceptedAt,omitzero"`
	ReceivedAt time.Time `json:"receivedAt,omitzero"`
	AppliedAt  time.Time `json:"appliedAt,omitzero"`
	ReadyAt    time.Time `json:"readyAt,omitzero"`

	Problems []Problem `json:"problems,omitempty"`
	// Objects are those in one cluster; only clusters, and zones for them, list them.
	Objects []Object `json:"objects,omitempty"`
}

// Problem is a record.Problem with JSON names; one converts to the other.
type Problem struct {
	Zone    string `json:"zone,omitempty"`
	Cluster string `json:"cluster,omitempty"`
	Object  string `json:"object,omitempty"`
	Reason  string `json:"reason,omitempty"`
	Message string `json:"message,omitempty"`
}

// Problems converts.
func Problems(in []record.Problem) []Problem {
	var out []Problem
	for _, p := range in {
		out = append(out, Problem(p))
	}
	return out
}

// Object is one object of an application in one cluster.
type Object struct {
	// Object is its kind, namespace and name, as people write them.
	Object  string `json:"object"`
	Version string `json:"version,omitempty"`
	// Rejected says why the cluster refused it.
	Rejected string `json:"rejected,omitempty"`
}

// Overview is the state of one node. What a tier does not have is zero.
type Overview struct {
	// Applications placed here, clusters and nodes below, and, in a cluster, the objects managed and those rejected.
	Applications int `json:"applications"`
	Clusters     int `json:"clusters,omitempty"`
	Nodes        int `json:"nodes,omitempty"`
	Objects      int `json:"objects,omitempty"`
	Rejected     int `json:"rejected,omitempty"`

	// Epoch and Revision are the position of the node's store; in a cluster, the highest accepted from its zone.
	Epoch    string `json:"epoch,omitempty"`
	Revision int64  `json:"revision,omitempty"`
	// Leader is the id of the process that leads the tier.
	Leader string `json:"leader,omitempty"`
	// Replicas are the tier's processes, by id; only zones list them.
	Replicas []Replica `json:"replicas,omitempty"`
	// Version of the Meridian binary, and of the cluster's API server.
	Version           string `json:"version,omitempty"`
	KubernetesVersion string `json:"kubernetesVersion,omitempty"`

	// Identity is who the process that answers is, and whom it believes.
	Identity *Identity `json:"identity,omitempty"`

	// Parent is the session with the parent; nil at Global.
	Parent *Session `json:"parent,omitempty"`
	// Sessions are those with children, by name; a child that is known and has no session is listed too.
	Sessions []Session `json:"sessions,omitempty"`
	// Refusals are what this node refuses to take, and from whom.
	Refusals []Refusal `json:"refusals,omitempty"`
	// Held are the removals held back here.
	Held *Held `json:"held,omitempty"`
}

// Replica is one process of a zone.
type Replica struct {
	ID      string `json:"id"`
	Address string `json:"address"`
	// Clusters that it has claimed.
	Clusters int `json:"clusters"`
	// Connected: it tells the leader how its clusters stand, or leads itself.
	Connected bool `json:"connected"`
	// Leaving: it is about to end.
	Leaving bool `json:"leaving,omitempty"`
	// Identity is the replica's; nil if it did not tell.
	Identity *Identity `json:"identity,omitempty"`
}

// EpochText is an epoch as Overview holds it: hexadecimal, since JSON's numbers lose digits.
func EpochText(epoch uint64) string {
	if epoch == 0 {
		return ""
	}
	return strconv.FormatUint(epoch, 16)
}

// Session is one session with a neighbour.
type Session struct {
	// Peer is the neighbour's name, or its Path as text.
	Peer      string `json:"peer"`
	Connected bool   `json:"connected"`
	// InSync: all that the peer should have, it has acknowledged.
	InSync bool `json:"inSync"`
	// Pending is how many keys are still to be sent or acknowledged.
	Pending int `json:"pending,omitempty"`
	// Since is when it was connected, or lost.
	Since time.Time `json:"since,omitzero"`
	// Refused is what the peer refuses to take from this node.
	Refused *Refusal `json:"refused,omitempty"`
	// Serial and Expires are those of the certificate that a connected child has shown.
	Serial  string    `json:"serial,omitempty"`
	Expires time.Time `json:"expires,omitzero"`
}

// Refusal is something that will not be accepted until a person confirms it or its cause goes away.
type Refusal struct {
	// Kind is floor, epoch, fence or identity.
	Kind   string    `json:"kind"`
	Reason string    `json:"reason"`
	Since  time.Time `json:"since,omitzero"`
}

// MaxHeld is how many held removals one node lists.
const MaxHeld = 100

// Held are removals that wait for a confirmation.
type Held struct {
	Total int `json:"total"`
	// Removals are the first, at most MaxHeld.
	Removals []HeldRemoval `json:"removals"`
}

// HeldRemoval is one removal held back.
type HeldRemoval struct {
	Key   string    `json:"key"`
	Cause string    `json:"cause"`
	Since time.Time `json:"since,omitzero"`
}

// NewHeld lists the first of all; nil if there are none.
func NewHeld(all []HeldRemoval) *Held {
	if len(all) == 0 {
		return nil
	}
	return &Held{Total: len(all), Removals: all[:min(len(all), MaxHeld)]}
}
