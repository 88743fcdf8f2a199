package children

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/meridian-federation/meridian/internal/feed/feedgrpc"
	"github.com/meridian-federation/meridian/internal/identity"
	"github.com/meridian-federation/meridian/internal/telemetry"
)

// Refusals counts the connections that a parent has refused, by why. A nil one counts nothing.
type Refusals struct{ connections *prometheus.CounterVec }

// The reasons beside those of identity.Cause.
const (
	overLimit  = "limit"
	otherClaim = "claim"
)

// NewRefusals makes the counter; a nil registry has none.
func NewRefusals(r prometheus.Registerer) *Refusals {
	if r == nil {
		return nil
	}
	c := prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: telemetry.Namespace, Name: "connections_refused_total",
		Help: "Connections that were refused, or closed since their certificates count no more."}, []string{"reason"})
	for _, reason := range append(identity.Causes(), overLimit, otherClaim) {
		c.WithLabelValues(reason)
	}
	r.MustRegister(c)
	return &Refusals{connections: c}
}

// refused counts a connection that was not let in.
func (r *Refusals) refused(err error) {
	reason := identity.Cause(err)
	if errors.Is(err, feedgrpc.ErrLimit) {
		reason = overLimit
	}
	r.count(reason, 1)
}

func (r *Refusals) count(reason string, n int) {
	if r != nil {
		r.connections.WithLabelValues(reason).Add(float64(n))
	}
}
