package verify

import (
	"net/http"

	"github.com/meridian-federation/meridian/internal/config"
)

// Visit is what a visitor without credentials got from an admin address.
type Visit struct {
	Address string
	// URL that was asked for; TLS or not is its scheme.
	URL string
	// TLS: the answer came encrypted.
	TLS bool
	// Status of the answer; 0 if there was none.
	Status int
}

// Admin examines admin addresses by what a stranger gets there. What is shown on loopback says nothing of other hosts.
func (r *Report) Admin(visits []Visit) {
	answered := map[string]bool{}
	for _, v := range visits {
		answered[v.Address] = answered[v.Address] || v.Status != 0
		r.examined(CheckAdmin)
		switch {
		case v.Status != http.StatusOK:
		case config.OnLoopback(v.Address):
			r.add(Info, CheckAdmin, v.Address, "%s is shown to everybody on this host; ask at the host's own address for what others get", v.URL)
		case v.TLS:
			r.add(Critical, CheckAdmin, v.Address, "%s is shown to anybody; set admin.clientCaFile or admin.tokenFile", v.URL)
		default:
			r.add(Critical, CheckAdmin, v.Address, "%s is shown to anybody, in plain text; set admin.certFile, admin.keyFile, and admin.clientCaFile or admin.tokenFile", v.URL)
		}
	}
	for _, v := range visits {
		if !answered[v.Address] {
			r.Skip(CheckAdmin, v.Address, "nothing answers there")
			answered[v.Address] = true
		}
	}
}
