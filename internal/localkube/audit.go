package localkube

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
)

const (
	auditPolicyFile = "audit-policy.yaml"
	auditLogFile    = "audit.log"

	// everyWrite records one line for each finished write.
	everyWrite = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived, ResponseStarted]
rules:
- level: Metadata
  verbs: [create, update, patch, delete, deletecollection]
- level: None
`
	// barrierPrefix names the objects of AuditWrites itself.
	barrierPrefix = "audit-barrier-"
	// barrierWithin bounds the wait for a line that is on its way.
	barrierWithin = 30 * time.Second
)

// auditPolicy is what is recorded; nil is nothing.
func (c Config) auditPolicy() []byte {
	if c.AuditLog {
		return []byte(everyWrite)
	}
	return c.AuditPolicy
}

// auditArgs has the API server record what the policy says, to a file that AuditWrites must find whole, or that is bounded.
func (c Config) auditArgs() []string {
	if c.auditPolicy() == nil {
		return nil
	}
	args := []string{"--audit-policy-file=" + c.file(auditPolicyFile), "--audit-log-path=" + c.AuditFile(), "--audit-log-mode=blocking"}
	if c.AuditLog {
		return append(args, "--audit-log-maxsize=0") // one file, never rotated
	}
	return append(args, "--audit-log-maxsize=50", "--audit-log-maxbackup=2")
}

// AuditFile is where the API server records, one JSON object on each line.
func (c Config) AuditFile() string { return c.file(auditLogFile) }

// Write is one write request that the API server answered. A request that
// changed nothing, or was refused, is one too.
type Write struct {
	Time        time.Time // when the request arrived
	User        string
	UserAgent   string
	Verb        string // create, update, patch, delete, deletecollection
	Group       string // "" is the core group
	Resource    string // plural
	Subresource string
	Namespace   string
	Name        string
	Code        int // HTTP status
}

// Writes are in the order in which they were answered.
type Writes []Write

// Without leaves out the writes of resources (plural, of any group), such as
// leases.
func (w Writes) Without(resources ...string) Writes {
	return slices.DeleteFunc(slices.Clone(w), func(x Write) bool { return slices.Contains(resources, x.Resource) })
}

// AuditWrites returns the writes of user, or of everyone for "", since the
// cluster was first started with AuditLog. Every write that was answered before
// the call is there; dry runs are not. A later call returns the same ones and
// more, so that the tail from len(earlier) on is what happened in between.
func (c *Cluster) AuditWrites(user string) (Writes, error) {
	writes, err := c.auditWrites(user)
	if err != nil {
		return nil, fmt.Errorf("reading the audit log of cluster %s: %w", c.cfg.Name, err)
	}
	return writes, nil
}

func (c *Cluster) auditWrites(user string) (Writes, error) {
	if !c.cfg.AuditLog {
		return nil, errors.New("the cluster was started without one")
	}
	ctx, cancel := context.WithTimeout(context.Background(), barrierWithin)
	defer cancel()
	log, err := c.auditLog(ctx)
	if err != nil {
		return nil, err
	}
	var writes Writes
	lines := bufio.NewScanner(bytes.NewReader(log))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		w, ok, err := parseWrite(lines.Bytes())
		if err != nil {
			return nil, err
		}
		if ok && (user == "" || w.User == user) {
			writes = append(writes, w)
		}
	}
	return writes, lines.Err()
}

// auditLog returns the log up to a barrier: a dry run of a request that is made
// now and whose line it waits for. A write that was answered before has passed
// its own logging by then.
func (c *Cluster) auditLog(ctx context.Context) ([]byte, error) {
	client, err := kubernetes.NewForConfigAndClient(c.RESTConfig(), c.client)
	if err != nil {
		return nil, err
	}
	name := barrierPrefix + strings.ToLower(rand.Text())
	_, err = client.CoreV1().ConfigMaps(corev1.NamespaceDefault).Create(ctx,
		&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}},
		metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	if err != nil {
		return nil, err
	}
	var log []byte
	err = wait.PollUntilContextCancel(ctx, lookEvery, true, func(context.Context) (bool, error) {
		log, err = os.ReadFile(c.cfg.AuditFile())
		if err != nil {
			return false, err
		}
		at := bytes.LastIndex(log, []byte(name))
		if at < 0 || bytes.IndexByte(log[at:], '\n') < 0 {
			return false, nil
		}
		log = log[:bytes.LastIndexByte(log, '\n')+1]
		return true, nil
	})
	return log, err
}

// auditEvent is the part of audit.k8s.io/v1 Event that Write needs.
type auditEvent struct {
	Stage      string `json:"stage"`
	RequestURI string `json:"requestURI"`
	Verb       string `json:"verb"`
	UserAgent  string `json:"userAgent"`
	User       struct {
		Username string `json:"username"`
	} `json:"user"`
	ObjectRef struct {
		Resource    string `json:"resource"`
		Subresource string `json:"subresource"`
		Namespace   string `json:"namespace"`
		Name        string `json:"name"`
		APIGroup    string `json:"apiGroup"`
	} `json:"objectRef"`
	ResponseStatus struct {
		Code int `json:"code"`
	} `json:"responseStatus"`
	RequestReceivedTimestamp metav1.MicroTime `json:"requestReceivedTimestamp"`
}

// parseWrite reports false for a line that is not a write.
func parseWrite(line []byte) (Write, bool, error) {
	var e auditEvent
	if err := json.Unmarshal(line, &e); err != nil {
		return Write{}, false, fmt.Errorf("line %.80q: %w", line, err)
	}
	if strings.Contains(e.RequestURI, "dryRun=") {
		return Write{}, false, nil
	}
	return Write{
		Time:        e.RequestReceivedTimestamp.Time,
		User:        e.User.Username,
		UserAgent:   e.UserAgent,
		Verb:        e.Verb,
		Group:       e.ObjectRef.APIGroup,
		Resource:    e.ObjectRef.Resource,
		Subresource: e.ObjectRef.Subresource,
		Namespace:   e.ObjectRef.Namespace,
		Name:        e.ObjectRef.Name,
		Code:        e.ResponseStatus.Code,
	}, true, nil
}
