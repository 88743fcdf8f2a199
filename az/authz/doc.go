// Package authz is the zone's external authorization service: Envoys that no AuthorizationPolicy reaches (gateways,
// machines without a sidecar) ask it of each request by envoy.service.auth.v3.Authorization, and it answers by the policy
// records that the zone holds, as package policy reads them.
//
// It fails closed: a caller, an application or a port that it cannot make out for certain, or knows nothing of, is
// refused, with the reason. What a client can choose, such as the Host of a request, decides nothing where the proxy itself
// says which application it stands before.
//
// Every replica answers, from an Index of its own mirror, with or without the zone's store, leader and region. Only az
// imports the package.
package authz
