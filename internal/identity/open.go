package identity

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/meridian-federation/meridian/internal/config"
	"github.com/meridian-federation/meridian/internal/question"
)

// Config is what a process gets its identity with.
type Config struct {
	config.Identity
	// Path is the process's place.
	Path question.Path
	// Parents are the addresses of the place above; any of them will do. Global has none.
	Parents []string
	Log     *slog.Logger
}

// Identity is that of one process: Open gets it, Run keeps it.
type Identity struct {
	Source *Source
	// Authority issues certificates to those below; nil for an agent, and where the certificates come from outside.
	Authority *Authority
	parent    *parent // nil where there is none
	run       func(context.Context) error
	renewals  renewals
}

// Open gets the process's identity: from its folder, by an enrolment with a token if there is none yet, or from outside. It
// waits for whoever is not there yet, until ctx ends. A token that is refused, and a certificate that has ended, are errors
// that say what to do.
func Open(ctx context.Context, cfg Config) (*Identity, error) {
	domain, err := spiffeid.TrustDomainFromString(cfg.TrustDomain)
	if err != nil {
		return nil, fmt.Errorf("identity.trustDomain: %w", err)
	}
	switch isGlobal := cfg.Path.Tier() == question.TierGlobal; {
	case cfg.AdoptRoot && !isGlobal:
		return nil, errors.New("identity.adoptRoot: is for Global alone; below it, name the root that Global adopted in identity.adoptPin")
	case cfg.AdoptPin != "" && isGlobal:
		return nil, errors.New("identity.adoptPin: is for what is below Global; a Global that lost its root has identity.adoptRoot")
	}
	source, err := NewSource(domain, cfg.Path)
	if err != nil {
		return nil, err
	}
	id := &Identity{Source: source}
	switch cfg.Identity.Source {
	case config.IdentityFiles:
		err = id.openFiles(cfg)
	case config.IdentityWorkloadAPI:
		err = id.openWorkloadAPI(ctx, cfg)
	default:
		err = id.openOwn(ctx, cfg)
	}
	if err != nil {
		return nil, fmt.Errorf("getting the identity of %s: %w", cfg.Path, err)
	}
	return id, nil
}

// Run keeps the identity good until ctx ends: certificates are renewed, and changes of whom to believe are followed.
func (i *Identity) Run(ctx context.Context) error { return i.run(ctx) }

// openOwn gets an identity from Meridian's own authority.
func (i *Identity) openOwn(ctx context.Context, cfg Config) error {
	f, err := openFolder(cfg.Dir)
	if err != nil {
		return err
	}
	if err := i.Source.met.keepIn(&f); err != nil {
		return err
	}
	if cfg.Path.Tier() == question.TierGlobal {
		return i.openGlobal(ctx, cfg, f)
	}
	above, _ := cfg.Path.Parent()
	return i.openChild(ctx, cfg, f, &parent{source: i.Source, path: above, configured: slices.Clone(cfg.Parents)})
}

// openGlobal begins with the root if it is here; it is made at the first process of Global's first start. Another process
// has its certificates from the one that has the root.
func (i *Identity) openGlobal(ctx context.Context, cfg Config, f folder) error {
	held, err := f.rootsHeld()
	if err != nil {
		return err
	}
	believed, err := f.read(rootsFile)
	if err != nil {
		return err
	}
	var p *parent
	if len(cfg.Join) > 0 {
		p = &parent{source: i.Source, path: cfg.Path, configured: slices.Clone(cfg.Join)}
	}
	signs := len(held) > 0 && (len(believed.certs) == 0 || slices.ContainsFunc(held, func(r Root) bool { return r.Cert.Equal(believed.certs[0]) }))
	switch {
	case signs:
		return i.openRoot(cfg, f, p, held, believed.certs)
	case p != nil:
		if err := i.openChild(ctx, cfg, f, p); err != nil {
			return err
		}
		i.Authority.folder, i.Authority.roots = &f, held
		return nil
	case len(believed.certs) > 0 && !cfg.AdoptRoot:
		return fmt.Errorf("the root %s signs, whose key is not here: name the process of Global that has it in identity.join; "+
			"if none has it any more, see identity.adoptRoot", Pin(believed.certs[0]))
	}
	root, err := NewRoot(i.Source.TrustDomain(), time.Now())
	if err != nil {
		return err
	}
	if err := f.keepRoot(root); err != nil {
		return err
	}
	cfg.Log.Info("made the root of all identities", "pin", Pin(root.Cert), "until", root.Cert.NotAfter)
	return i.openRoot(cfg, f, p, []Root{root}, nil)
}

// openRoot is for the process that has the root which signs.
func (i *Identity) openRoot(cfg Config, f folder, p *parent, held []Root, believed []*x509.Certificate) (err error) {
	if i.Authority, err = NewRootAuthority(i.authorityConfig(cfg), held, believed...); err != nil {
		return err
	}
	i.Authority.folder = &f
	i.run = newKeeper(i, cfg, f, p).run
	return nil
}

func (i *Identity) authorityConfig(cfg Config) AuthorityConfig {
	return AuthorityConfig{Source: i.Source, Lives: Lives{CA: cfg.CALifetime, Leaf: cfg.LeafLifetime}}
}

// openChild is for everybody whom somebody else issues certificates to.
func (i *Identity) openChild(ctx context.Context, cfg Config, f folder, p *parent) error {
	if len(p.configured) == 0 {
		return errors.New("no address of the parent is known")
	}
	e, roots, ok, err := f.identity()
	if err != nil {
		return err
	}
	enrols := false
	if next, others, err := enrolAnew(ctx, cfg, f, p, e, ok); err == nil {
		if enrols = next != nil; enrols {
			e, roots = *next, others
		}
	} else if ctx.Err() != nil || !ok || !e.credential.ends().After(time.Now()) {
		return err
	} else {
		cfg.Log.Error("not enrolled anew; going on with the certificate that is here", "err", err, "until", e.credential.ends())
	}
	if err := i.take(cfg, e, roots, p); err != nil {
		return err
	}
	if enrols {
		if err := errors.Join(i.Source.met.forget(), f.keep(e, roots)); err != nil {
			return err
		}
		cfg.Log.Info("enrolled", "path", cfg.Path, "until", e.credential.ends())
	}
	if err := i.Source.adoptFrom(cfg.AdoptPin, f, func(root *x509.Certificate) {
		cfg.Log.Warn("adopted a root that the parent shows; leave identity.adoptPin out from now on", "pin", Pin(root))
	}); err != nil {
		return err
	}
	i.parent = p
	k := newKeeper(i, cfg, f, p)
	k.enrolment = e
	i.run = k.run
	return f.enrolled()
}

// enrolAnew has the parent issue a certificate by a token where that is to be done; nil where what is here will do.
func enrolAnew(ctx context.Context, cfg Config, f folder, p *parent, e enrolment, ok bool) (*enrolment, []*x509.Certificate, error) {
	newcomer, err := newNewcomer(cfg, f, p)
	if err != nil || !newcomer.needed(e, ok) {
		return nil, nil, err
	}
	next, roots, err := newcomer.enrol(ctx)
	return &next, roots, err
}

// take begins with what was got from the parent, now or in an earlier run.
func (i *Identity) take(cfg Config, e enrolment, roots []*x509.Certificate, p *parent) (err error) {
	if end := e.credential.ends(); !end.After(time.Now()) {
		return fmt.Errorf("its certificate ended at %s: %s", end.Format(time.RFC3339), advice(cfg.Path))
	}
	if cfg.Path.Tier() == question.TierCluster {
		return i.Source.Install(e.credential, roots)
	}
	if i.Authority, err = NewAuthority(i.authorityConfig(cfg), e.credential, roots); err != nil {
		return err
	}
	i.Authority.relay = p
	return nil
}

// again is the mode of the token by which a place that lost its certificate has another: one more process of a tier's place
// takes nothing from those below it, and of an agent's place there is one process.
func again(path question.Path) string {
	if path.Tier() == question.TierCluster {
		return "--replace"
	}
	return "--replica"
}

// advice is how a place gets a certificate again.
func advice(path question.Path) string {
	flags := ""
	if path.Tier() == question.TierGlobal {
		flags = " --global"
	}
	for _, f := range []struct{ flag, name string }{{"region", path.Region}, {"zone", path.Zone}, {"cluster", path.Cluster}} {
		if f.name != "" {
			flags += " --" + f.flag + " " + f.name
		}
	}
	text := "have a new one by 'meridian token create" + flags + " " + again(path) + "', and start with identity.tokenFile and identity.pin as it prints them"
	switch path.Tier() {
	case question.TierCluster:
		return text
	case question.TierGlobal:
		return text + "; with --replace instead if its key may have been copied, and rotate the root afterwards"
	}
	return text + "; with --replace instead if its key may have been copied: then all below enrol anew, too"
}
