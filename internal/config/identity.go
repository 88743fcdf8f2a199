package config

import (
	"errors"
	"fmt"
	"path/filepath"
	"time"
)

// The places that a process may have its identity from.
const (
	// IdentityAuthority is Meridian's own authority.
	IdentityAuthority = "authority"
	// IdentityFiles is files that somebody else renews, such as cert-manager.
	IdentityFiles = "files"
	// IdentityWorkloadAPI is a SPIFFE Workload API, such as SPIRE's agent.
	IdentityWorkloadAPI = "workload-api"
)

// Identity says how a process gets the certificates by which it and its peers know each other. There is no setting that
// does without.
type Identity struct {
	Source      string   `usage:"who issues the certificates: authority (Meridian's own), files, or workload-api"`
	TrustDomain string   `usage:"SPIFFE trust domain of the control plane; the same in all its processes"`
	Dir         string   `usage:"folder of this process alone, for its keys and certificates (authority)"`
	TokenFile   string   `usage:"file with the token of the first enrolment, as 'meridian token create' prints it (authority)"`
	Pin         []string `usage:"sha256:HEX of the root's public key, as 'meridian token create' prints it; any of several will do (authority)"`
	// Join is for a further process at Global: the others get their certificates from their parents.
	Join []string `usage:"addresses of the process of Global that has the root; only for further ones of Global (authority)"`
	// AdoptRoot and AdoptPin are for a control plane whose root is lost: at Global, and at those below it.
	AdoptRoot          bool          `usage:"at Global alone, where no process has the root any more: have the root that this process has, or makes, take its place; leave it out again once that is done (authority)"`
	AdoptPin           string        `usage:"below Global: sha256:HEX of the root that Global adopted, to believe once the parent shows it; leave it out again once that is done (authority)"`
	CertFile           string        `usage:"file with the certificate and those above it, in PEM (files)"`
	KeyFile            string        `usage:"file with the certificate's key, in PEM (files)"`
	BundleFile         string        `usage:"file with the roots to believe, in PEM (files)"`
	WorkloadAPIAddress string        `usage:"socket of the Workload API, such as unix:///run/spire/agent.sock (workload-api)"`
	CALifetime         time.Duration `usage:"how long a certificate is good that lets a tier's process sign for what is below it"`
	LeafLifetime       time.Duration `usage:"how long a certificate is good that a process shows; it is renewed after two thirds"`
}

// Ledger is the file beside Dir in which the process with an id remembers what it wrote to the ledger of addresses. Several that
// leave Dir as it is, having their certificates elsewhere, do not share it.
func (i *Identity) Ledger(id string) string { return filepath.Clean(i.Dir) + "." + id + ".ledger" }

// Default fills in zero fields. A certificate that a process shows is short-lived, so that it ends soon after its parent no
// longer renews it; one that signs lives for as long as a zone should be able to do without parents, and it is for as long
// that a revocation may not reach what is below a zone that is cut off.
func (i *Identity) Default() {
	setDefault(&i.Source, IdentityAuthority)
	setDefault(&i.TrustDomain, "meridian")
	setDefault(&i.Dir, "data/identity")
	if i.CALifetime == 0 {
		i.CALifetime = 30 * 24 * time.Hour
	}
	if i.LeafLifetime == 0 {
		i.LeafLifetime = 24 * time.Hour
	}
}

// shortest is the least life of a certificate: it begins and ends at full seconds, and must be renewed in between.
const shortest = 5 * time.Second

// Validate joins all errors.
func (i Identity) Validate() error {
	errs := []error{
		OneOf("source", i.Source, IdentityAuthority, IdentityFiles, IdentityWorkloadAPI),
		Required("trustDomain", i.TrustDomain),
	}
	if i.LeafLifetime < shortest {
		errs = append(errs, fmt.Errorf("leafLifetime: %s is less than %s", i.LeafLifetime, shortest))
	}
	if i.CALifetime < i.LeafLifetime {
		errs = append(errs, fmt.Errorf("caLifetime: %s is less than leafLifetime, %s", i.CALifetime, i.LeafLifetime))
	}
	for _, address := range i.Join {
		errs = append(errs, Address("join", address))
	}
	if i.AdoptRoot && len(i.Join) > 0 {
		errs = append(errs, errors.New("adoptRoot: excludes join: a process that has its certificates from another adopts no root"))
	}
	if i.Source != IdentityAuthority && (i.AdoptRoot || i.AdoptPin != "") {
		errs = append(errs, fmt.Errorf("adoptRoot, adoptPin: are for source %s: replace the roots where the identities are issued", IdentityAuthority))
	}
	switch i.Source {
	case IdentityAuthority:
		errs = append(errs, Required("dir", i.Dir))
		if i.TokenFile != "" && len(i.Pin) == 0 {
			errs = append(errs, errors.New("pin: is required beside tokenFile; 'meridian token create' prints it"))
		}
	case IdentityFiles:
		errs = append(errs, Required("certFile", i.CertFile), Required("keyFile", i.KeyFile), Required("bundleFile", i.BundleFile))
	case IdentityWorkloadAPI:
		errs = append(errs, Required("workloadApiAddress", i.WorkloadAPIAddress))
	}
	return errors.Join(errs...)
}
