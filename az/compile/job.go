package compile

import (
	"runtime"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/meridian-federation/meridian/internal/record"
)

// job is a unit of which all inputs are gathered: compiling it is a pure function of these.
type job struct {
	target  *target
	unit    *unit
	spec    *spec
	policy  policyAt
	cause   record.Cause
	compile func() (*output, error)

	out *output
	err error
}

// fewJobs are compiled where they are: handing them out would take longer.
const fewJobs = 16

// run compiles jobs, on all processors where there are many. Those of one application follow each other, and are done by
// one goroutine: they share its revision, which is decoded once and not kept.
func run(jobs []*job) {
	var lots [][]*job
	from := 0
	for i := range jobs {
		if i+1 == len(jobs) || jobs[i+1].unit.key.application != jobs[i].unit.key.application ||
			jobs[i+1].unit.key.namespace != jobs[i].unit.key.namespace {
			lots = append(lots, jobs[from:i+1])
			from = i + 1
		}
	}
	if len(jobs) <= fewJobs {
		for _, lot := range lots {
			runLot(lot)
		}
		return
	}
	var group errgroup.Group
	var next atomic.Int64
	for range runtime.GOMAXPROCS(0) {
		group.Go(func() error {
			for {
				i := next.Add(1) - 1
				if i >= int64(len(lots)) {
					return nil
				}
				runLot(lots[i])
			}
		})
	}
	_ = group.Wait() // each job has its own outcome
}

func runLot(lot []*job) {
	for _, j := range lot {
		j.out, j.err = j.compile()
	}
	for _, j := range lot {
		j.spec.decoded = nil
	}
}

// accept gives a job's unit what came of it. If nothing did, what there is stays, but for what the policy takes away.
func (c *Compiler) accept(j *job, r *round) {
	if j.err != nil {
		j.unit.problem = failed(j.err)
		c.enforce(j.target, j.unit, j.policy, j.cause)
		return
	}
	first, rev := !j.unit.made, j.spec.revision
	in := traits{environment: rev.Environment, tenant: rev.Tenant, adopt: j.spec.adopt}
	switch j.unit.key.kind {
	case kindWorkload:
		j.unit.workload = j.out.workload
		if first {
			r.mark(j.target.cluster.Name, unitKey{kind: kindStub, namespace: j.unit.key.namespace, application: j.unit.key.application}, j.cause)
		}
	case kindConfig:
		in.strict = len(j.out.objects) > 0
	}
	j.unit.subject, j.unit.policy = j.out.subject, j.policy.version
	j.target.inhabit(j.unit, &in, j.cause, r)
	j.target.accept(j.unit, j.out.objects, j.cause)
}
