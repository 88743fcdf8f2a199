package identity

import (
	"context"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"

	"github.com/fsnotify/fsnotify"

	"github.com/meridian-federation/meridian/internal/config"
)

// files is an identity that somebody else keeps in files: cert-manager, or an operator.
type files struct {
	cert, key, bundle string
	source            *Source
	log               *slog.Logger
	renewals          *renewals
}

func (i *Identity) openFiles(cfg Config) error {
	f := &files{cert: cfg.CertFile, key: cfg.KeyFile, bundle: cfg.BundleFile, source: i.Source, log: cfg.Log, renewals: &i.renewals}
	if err := f.load(); err != nil {
		return err
	}
	i.run = f.run
	return nil
}

// load takes over what the files hold now, or changes nothing.
func (f *files) load() error {
	pair, err := tls.LoadX509KeyPair(f.cert, f.key)
	if err != nil {
		return fmt.Errorf("reading %s and its key: %w", f.cert, err)
	}
	chain, err := parseCertificates(pair.Certificate, maxChain)
	if err != nil {
		return fmt.Errorf("reading %s: %w", f.cert, err)
	}
	content, err := os.ReadFile(f.bundle)
	if err != nil {
		return fmt.Errorf("reading the roots to believe: %w", err)
	}
	bundle, err := parsePEM(content)
	if err != nil {
		return fmt.Errorf("reading %s: %w", f.bundle, err)
	}
	return f.source.Install(Credential{Key: pair.PrivateKey.(crypto.Signer), Chain: withoutRoots(chain, bundle.certs)}, bundle.certs)
}

// withoutRoots leaves out the roots that a file has above the certificates proper.
func withoutRoots(chain, roots []*x509.Certificate) []*x509.Certificate {
	for len(chain) > 1 && slices.ContainsFunc(roots, chain[len(chain)-1].Equal) {
		chain = chain[:len(chain)-1]
	}
	return chain
}

// run reads the files again whenever something changes in their folders: those who renew them replace them by others of
// the name, or by a link that leads elsewhere, as a kubelet does. While they do not go together, what was there stays.
func (f *files) run(ctx context.Context) (err error) {
	watch, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("watching the identity's files: %w", err)
	}
	defer func() { err = errors.Join(err, watch.Close()) }()
	for _, name := range []string{f.cert, f.key, f.bundle} {
		if err := watch.Add(filepath.Dir(name)); err != nil {
			return fmt.Errorf("watching the folder of %s: %w", name, err)
		}
	}
	// What was replaced between the first reading and the watch.
	f.reload()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-watch.Events:
			f.reload()
		case err := <-watch.Errors:
			f.log.Warn("watching the identity's files", "err", err)
		}
	}
}

// reload takes over what is there if it is another certificate, or other roots.
func (f *files) reload() {
	before := f.source.Status()
	if err := f.load(); err != nil {
		f.renewals.failed.Add(1)
		f.log.Warn("keeping the identity that was read before", "err", err, "source", config.IdentityFiles)
		return
	}
	if after := f.source.Status(); after.Serial != before.Serial {
		f.renewals.done.Add(1)
		f.log.Info("read another certificate", "until", after.NotAfter)
	}
}
