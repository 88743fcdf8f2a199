package identity

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/spiffe/go-spiffe/v2/svid/x509svid"
	"github.com/spiffe/go-spiffe/v2/workloadapi"
)

// workload is an identity that a SPIFFE Workload API hands out and renews, such as SPIRE's.
type workload struct {
	api      *workloadapi.X509Source
	source   *Source
	log      *slog.Logger
	renewals *renewals
}

func (i *Identity) openWorkloadAPI(ctx context.Context, cfg Config) error {
	api, err := workloadapi.NewX509Source(ctx, workloadapi.WithClientOptions(workloadapi.WithAddr(cfg.WorkloadAPIAddress)),
		workloadapi.WithDefaultX509SVIDPicker(i.Source.pick))
	if err != nil {
		return fmt.Errorf("asking the workload API at %s: %w", cfg.WorkloadAPIAddress, err)
	}
	w := &workload{api: api, source: i.Source, log: cfg.Log, renewals: &i.renewals}
	if err := w.load(); err != nil {
		return errors.Join(err, api.Close())
	}
	i.run = w.run
	return nil
}

// pick takes the one for this place, of those that the process is given.
func (s *Source) pick(svids []*x509svid.SVID) *x509svid.SVID {
	for _, svid := range svids {
		if svid.ID == s.id {
			return svid
		}
	}
	return svids[0] // Install says whose it is
}

func (w *workload) load() error {
	svid, err := w.api.GetX509SVID()
	if err != nil {
		return fmt.Errorf("reading the workload API's certificate: %w", err)
	}
	bundle, err := w.api.GetX509BundleForTrustDomain(w.source.TrustDomain())
	if err != nil {
		return fmt.Errorf("reading the workload API's roots: %w", err)
	}
	return w.source.Install(Credential{Key: svid.PrivateKey, Chain: svid.Certificates}, bundle.X509Authorities())
}

// run takes over each that comes.
func (w *workload) run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return w.api.Close()
		case <-w.api.Updated():
			if err := w.load(); err != nil {
				w.renewals.failed.Add(1)
				w.log.Warn("keeping the identity that came before", "err", err)
				continue
			}
			w.renewals.done.Add(1)
			w.log.Info("took another certificate", "until", w.source.Status().NotAfter)
		}
	}
}
