package record

import "github.com/meridian-federation/meridian/internal/record/recordpb"

func (v *External) message() *recordpb.External {
	if v == nil {
		return nil
	}
	m := &recordpb.External{Hosts: v.Hosts, Address: v.Address}
	for _, e := range v.Endpoints {
		m.Endpoints = append(m.Endpoints, &recordpb.ExternalEndpoint{Address: e.Address, Region: e.Region, Zone: e.Zone})
	}
	if t := v.TLS; t != nil {
		m.Tls = &recordpb.ExternalTLS{Mutual: t.Mutual, CredentialName: t.CredentialName, Sni: t.SNI, SubjectAltNames: t.SubjectAltNames}
	}
	return m
}

func externalOf(m *recordpb.External) *External {
	if m == nil {
		return nil
	}
	v := &External{Hosts: m.Hosts, Address: m.Address}
	for _, e := range m.Endpoints {
		v.Endpoints = append(v.Endpoints, ExternalEndpoint{Address: e.Address, Region: e.Region, Zone: e.Zone})
	}
	if t := m.Tls; t != nil {
		v.TLS = &ExternalTLS{Mutual: t.Mutual, CredentialName: t.CredentialName, SNI: t.Sni, SubjectAltNames: t.SubjectAltNames}
	}
	return v
}
