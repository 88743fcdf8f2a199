package az

import (
	"github.com/meridian-federation/meridian/internal/children"
	"github.com/meridian-federation/meridian/internal/question"
	"github.com/meridian-federation/meridian/internal/record"
)

// sayAgent is what the agent of a cluster may tell: how applications stand in the cluster, which is all that their names and
// counts are taken for, how the cluster is, and where applications are in it.
func sayAgent(cluster string, key record.Key) error {
	of := cluster
	switch key.Kind {
	case record.KindHealth:
		of = key.Name
	case record.KindLocation:
		of = key.Site()
	default:
		return children.Kinds(string(question.TierCluster), key, record.KindStatus)
	}
	if of != cluster {
		return children.Foreign("%s is not the agent of cluster %s's to tell", key, cluster)
	}
	return nil
}

// sayReplica is what another replica may tell: standings. Which of two replicas owns a cluster is told by their fences, not
// here: all replicas of the zone have one identity, and trust each other.
func sayReplica(key record.Key) error { return children.Kinds(roleReplica, key, record.KindStanding) }
