package telemetry

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"
)

// checkTimeout bounds all checks of one request together; probes wait for a few seconds at most.
const checkTimeout = 2 * time.Second

// Health is the named conditions under which a process is ready to serve. A process whose parent is out of reach is
// ready: it goes on with what it has.
type Health struct {
	mu sync.Mutex
	// checks, in the order added; guarded by mu.
	checks []check
}

type check struct {
	name string
	ask  func(ctx context.Context) error
}

// NewHealth is ready until a check says otherwise.
func NewHealth() *Health { return &Health{} }

// Add adds a condition: ask returns nil, or the reason why the process is not ready. It is called for every request.
func (h *Health) Add(name string, ask func(ctx context.Context) error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.checks = append(h.checks, check{name, ask})
}

// Ready asks all checks. The report has a line for each.
func (h *Health) Ready(ctx context.Context) (report string, ready bool) {
	h.mu.Lock()
	checks := h.checks[:len(h.checks):len(h.checks)]
	h.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	var b strings.Builder
	ready = true
	for _, c := range checks {
		if err := c.ask(ctx); err != nil {
			ready = false
			fmt.Fprintf(&b, "[-] %s: %v\n", c.name, err)
			continue
		}
		fmt.Fprintf(&b, "[+] %s\n", c.name)
	}
	if ready {
		b.WriteString("ready\n")
	} else {
		b.WriteString("not ready\n")
	}
	return b.String(), ready
}

// serveReady tells the reasons to those alone who may see the rest.
func (h *Health) serveReady(w http.ResponseWriter, r *http.Request, whole bool) {
	report, ready := h.Ready(r.Context())
	if !whole {
		report = report[strings.LastIndexByte(strings.TrimSuffix(report, "\n"), '\n')+1:]
	}
	if !ready {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_, _ = w.Write([]byte(report))
}
