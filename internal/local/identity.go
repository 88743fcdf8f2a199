package local

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"k8s.io/client-go/rest"

	"github.com/meridian-federation/meridian/internal/config"
	"github.com/meridian-federation/meridian/internal/hubclient"
	"github.com/meridian-federation/meridian/internal/question"
)

const (
	// tokenWithin bounds the wait for a token: Global must have seen the place in the inventory.
	tokenWithin = time.Minute
	// tokenLife is longer than a process takes to start and enrol.
	tokenLife = 10 * time.Minute
)

// identity is the folder with the keys and certificates of a process; token is the file of its token, until it has enrolled.
func (l layout) identity(name string) string { return filepath.Join(l.dir, "identities", name) }
func (l layout) token(name string) string    { return l.identity(name) + ".token" }

// roots is the file of the roots by which those who ask Global know it, also while no hub tells them.
func (l layout) roots() string { return filepath.Join(l.dir, "identities", "roots.crt") }

// keepRoots writes them, once Global has made the first. Of its files only the certificates are taken, never a key.
func (l layout) keepRoots() error {
	files, err := filepath.Glob(filepath.Join(l.identity(globalName()), "root*.pem"))
	if err != nil {
		return fmt.Errorf("looking for the roots of Global's identity: %w", err)
	}
	var roots []byte
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			return fmt.Errorf("reading a root of Global's identity: %w", err)
		}
		for block, rest := pem.Decode(content); block != nil; block, rest = pem.Decode(rest) {
			if block.Type == "CERTIFICATE" {
				roots = append(roots, pem.EncodeToMemory(block)...)
			}
		}
	}
	if err := os.WriteFile(l.roots(), roots, 0o600); err != nil {
		return fmt.Errorf("keeping the roots of Global's identity: %w", err)
	}
	return nil
}

// asking is where Global answers, and by what it is known.
func (t Topology) asking(l layout) hubclient.Options {
	return hubclient.Options{Address: config.Loopback(t.Global.Listen), CAFile: l.roots()}
}

// enrolled tells whether a process has a certificate of its own.
func (l layout) enrolled(name string) bool {
	_, err := os.Stat(filepath.Join(l.identity(name), "identity.pem"))
	return !errors.Is(err, fs.ErrNotExist)
}

// enroller gets tokens from Global, for the processes that have not enrolled yet.
type enroller struct {
	l      layout
	hub    *rest.Config
	asking hubclient.Options
	// taken are the places of which a process has enrolled.
	taken map[question.Path]bool
}

func newEnroller(l layout, hub *rest.Config, asking hubclient.Options, tiers []tier) *enroller {
	e := &enroller{l: l, hub: hub, asking: asking, taken: map[question.Path]bool{}}
	for _, t := range tiers {
		if l.enrolled(t.name) {
			e.taken[t.place] = true
		}
	}
	return e
}

// prepare gives a process that needs one a token, and the flags by which it enrols. What an earlier run that failed has left
// of its place is replaced: nobody has it.
func (e *enroller) prepare(ctx context.Context, t *tier) error {
	if !t.enrols || e.l.enrolled(t.name) {
		return nil
	}
	mode := question.TokenReplace
	if e.taken[t.place] {
		mode = question.TokenReplica
	}
	issued, err := e.ask(ctx, question.TokenRequest{Target: t.place, TTLSeconds: int64(tokenLife / time.Second), Uses: 1, Mode: mode})
	if err != nil {
		return fmt.Errorf("getting a token for %s: %w", t.name, err)
	}
	if err := os.WriteFile(e.l.token(t.name), []byte(issued.Text), 0o600); err != nil {
		return fmt.Errorf("keeping the token of %s: %w", t.name, err)
	}
	t.spec.Args = append(t.spec.Args, "--identity-token-file", e.l.token(t.name), "--identity-pin", strings.Join(issued.Pins, ","))
	return nil
}

// done notes that a process runs: Global has its root by then, and another's token is spent.
func (e *enroller) done(t *tier) error {
	if t.name == globalName() {
		return e.l.keepRoots()
	}
	if !t.enrols {
		return nil
	}
	e.taken[t.place] = true
	if err := os.Remove(e.l.token(t.name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("removing the token of %s: %w", t.name, err)
	}
	return nil
}

// ask asks as the hub's administrator, until Global leads and has seen the place.
func (e *enroller) ask(ctx context.Context, request question.TokenRequest) (question.IssuedToken, error) {
	ctx, cancel := context.WithTimeout(ctx, tokenWithin)
	defer cancel()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		issued, err := e.askOnce(ctx, request)
		if err == nil {
			return issued, nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return question.IssuedToken{}, err
		}
	}
}

func (e *enroller) askOnce(ctx context.Context, request question.TokenRequest) (issued question.IssuedToken, err error) {
	client, err := hubclient.Dial(ctx, e.hub, e.asking)
	if err != nil {
		return issued, err
	}
	defer func() { err = errors.Join(err, client.Close()) }()
	payload, err := json.Marshal(request)
	if err != nil {
		return issued, err
	}
	answer, err := client.Answer(ctx, question.KindTokenCreate, payload)
	if err != nil {
		return issued, err
	}
	node, err := question.Decode[question.Node](answer)
	if err != nil {
		return issued, err
	}
	if node.Issued == nil {
		return issued, errors.New("no token is in the answer of Global")
	}
	return *node.Issued, nil
}
