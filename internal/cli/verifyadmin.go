package cli

import (
	"context"
	"crypto/tls"
	"net/http"
	"time"

	"github.com/meridian-federation/meridian/internal/verify"
)

// visitFor is how long an admin address may take to answer a stranger.
const visitFor = 5 * time.Second

// visit asks each admin address for what strangers must not see, with no credentials.
func (v *verification) visit(ctx context.Context) {
	if len(v.admins) == 0 {
		v.report.Unasked(verify.CheckAdmin, "give --admin HOST:PORT to have it examined")
		return
	}
	// Nothing of what is answered is believed: a stranger does not care whose certificate it is.
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}
	client := &http.Client{Transport: transport, Timeout: visitFor}
	var visits []verify.Visit
	for _, address := range v.admins {
		for _, scheme := range []string{"http://", "https://"} {
			for _, path := range []string{"/metrics", "/debug/pprof/"} {
				url := scheme + address + path
				visits = append(visits, verify.Visit{Address: address, URL: url, TLS: scheme == "https://", Status: stranger(ctx, client, url)})
			}
		}
	}
	v.report.Admin(visits)
}

// stranger returns the status of the answer, 0 if there is none.
func stranger(ctx context.Context, client *http.Client, url string) int {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0
	}
	response, err := client.Do(request)
	if err != nil {
		return 0
	}
	_ = response.Body.Close()
	return response.StatusCode
}
