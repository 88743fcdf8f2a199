package region

import (
	"github.com/meridian-federation/meridian/internal/children"
	"github.com/meridian-federation/meridian/internal/question"
	"github.com/meridian-federation/meridian/ipam"
	"github.com/meridian-federation/meridian/ipam/answer"
	"github.com/meridian-federation/meridian/ipam/ipamgrpc"
	"github.com/meridian-federation/meridian/ipam/ledger"
)

// newMachines has the zones take addresses for machines of their own.
func (r *Region) newMachines() *ipamgrpc.Service {
	return ipamgrpc.New(ipamgrpc.Config{Place: question.Path{Region: r.cfg.Region}, Limits: r.cfg.IPAM, Audit: r.audit, Log: r.log,
		Ledger: func() *ledger.Ledger { return answer.Ledger(r.office()) }, Lowest: children.Lowest(r.mirror), Left: ipam.Left(r.mirror),
		Rate: float64(r.cfg.Children.Rate), Burst: r.cfg.Children.Burst()})
}
