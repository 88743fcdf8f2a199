package compile

import (
	"runtime"

	"golang.org/x/sync/errgroup"

	"github.com/meridian-federation/meridian/internal/record"
)

// job is a unit of which all inputs are gathered.
type job struct {
	key unitKey
	// compile is a pure function of the inputs, for any goroutine. accept gives the unit what came of it, for the compiler's.
	compile, accept func()
	// spec is the revision that compile decodes; nil where it needs none.
	spec *spec
}

// fewUnits are compiled where they are: handing them out would take longer.
const fewUnits = 16

// crew compiles the jobs of a phase. Where there are many, it has begun on the first while the last are still gathered, on all
// processors. Jobs of one application follow each other, and are done by one goroutine: they share its revision, which is
// decoded once and not kept.
type crew struct {
	lot []*job
	// lots are handed out; nil where there are few.
	lots  chan []*job
	group errgroup.Group
}

func newCrew(units int) *crew {
	c := &crew{}
	if units <= fewUnits {
		return c
	}
	c.lots = make(chan []*job, units)
	for range runtime.GOMAXPROCS(0) - 1 {
		c.group.Go(func() error {
			c.work()
			return nil
		})
	}
	return c
}

func (c *crew) add(j *job) {
	if n := len(c.lot); n > 0 && (c.lot[n-1].key.application != j.key.application || c.lot[n-1].key.namespace != j.key.namespace) {
		c.hand()
	}
	c.lot = append(c.lot, j)
}

func (c *crew) hand() {
	if c.lots != nil {
		c.lots <- c.lot
	} else {
		compileLot(c.lot)
	}
	c.lot = nil
}

// wait lends a hand until all is compiled.
func (c *crew) wait() {
	c.hand()
	if c.lots == nil {
		return
	}
	close(c.lots)
	c.work()
	_ = c.group.Wait() // each job keeps its own outcome
}

func (c *crew) work() {
	for lot := range c.lots {
		compileLot(lot)
	}
}

func compileLot(lot []*job) {
	for _, j := range lot {
		j.compile()
	}
	for _, j := range lot {
		if j.spec != nil {
			j.spec.decoded = nil
		}
	}
}

// made is a workload or a config that a job compiles.
type made struct {
	target *target
	unit   *unit
	spec   *spec
	policy policyAt
	cause  record.Cause
}

// job has it compiled.
func (m made) job(c *Compiler, r *round, compile func() (*output, error)) *job {
	var out *output
	var err error
	return &job{key: m.unit.key, spec: m.spec, compile: func() { out, err = compile() }, accept: func() { c.accept(m, out, err, r) }}
}

// accept gives a unit what came of a job. If nothing did, what there is stays, but for what the policy takes away.
func (c *Compiler) accept(m made, out *output, err error, r *round) {
	if err != nil {
		m.unit.problem = failed(err)
		c.enforce(m.target, m.unit, m.policy, m.cause)
		return
	}
	first, rev := !m.unit.made, m.spec.revision
	in := traits{environment: rev.Environment, tenant: rev.Tenant, adopt: m.spec.adopt}
	switch m.unit.key.kind {
	case kindWorkload:
		m.unit.workload = out.workload
		if first {
			r.mark(m.target.cluster.Name, unitKey{kind: kindStub, namespace: m.unit.key.namespace, application: m.unit.key.application}, m.cause)
		}
	case kindConfig:
		if first {
			c.await(m, out, r)
		}
		in.strict = len(out.objects) > 0
	}
	m.unit.subject, m.unit.policy = out.subject, m.policy.version
	m.target.inhabit(m.unit, &in, m.cause, r)
	m.target.accept(m.unit, out.objects, m.cause)
}
