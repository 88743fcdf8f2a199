package record

// Validate decodes a record of a known kind and says what is wrong with it. Unknown kinds pass: a relay keeps them.
func Validate(r Record) error {
	var err error
	switch r.Key.Kind {
	case KindRevision:
		_, err = DecodeRevision(r)
	case KindService:
		_, err = DecodeService(r)
	case KindPolicy:
		_, err = DecodePolicy(r)
	case KindAudience:
		_, err = DecodeAudience(r)
	case KindLocation:
		_, err = DecodeLocation(r)
	case KindPlace:
		_, err = DecodePlace(r)
	case KindCluster:
		_, err = DecodeCluster(r)
	case KindAssignment:
		_, err = DecodeAssignment(r)
	case KindBinding:
		_, err = DecodeBinding(r)
	case KindStatus:
		_, err = DecodeStatus(r)
	case KindHealth:
		_, err = DecodeHealth(r)
	case KindStanding:
		_, err = DecodeStanding(r)
	case KindGrant:
		_, err = DecodeGrant(r)
	case KindToken:
		_, err = DecodeToken(r)
	case KindTrust:
		_, err = DecodeTrust(r)
	case KindPool:
		_, err = DecodePool(r)
	case KindPrefix:
		_, err = DecodePrefix(r)
	case KindClaim:
		_, err = DecodeClaim(r)
	case KindAllotment:
		_, err = DecodeAllotment(r)
	case KindDemand:
		_, err = DecodeDemand(r)
	}
	return err
}
