package agent

import (
	"fmt"

	"github.com/catsbgp/catsbgp/advert"
	"github.com/catsbgp/catsbgp/internal/collect"
	"github.com/catsbgp/catsbgp/internal/config"
	"github.com/catsbgp/catsbgp/internal/egress"
	"github.com/catsbgp/catsbgp/internal/ingress"
	"github.com/catsbgp/catsbgp/selection"
)

// egressOptions is the egress core's part of a configuration.
func egressOptions(cfg *config.Config, keys *keys) egress.Options {
	opt := egress.Options{
		Profile:     advert.Profile{Normalization: cfg.Agent.NormalizationProfile, Domain: cfg.Agent.Domain},
		Locator:     cfg.Agent.Locator,
		Site:        advert.Site{Preference: cfg.Agent.SitePreference},
		Communities: cfg.BGP.Communities,
		Sign:        keys.sign,
		Dampening:   cfg.Dampening,
		Budgets:     cfg.BGP.RFD,
	}
	if cfg.Agent.SiteID != 0 {
		opt.Site.Availability = advert.Availability{Set: true, Bind: true, SiteID: cfg.Agent.SiteID}
	}
	for _, s := range cfg.Services {
		if len(s.Instances) == 0 {
			continue // configured for its policy only
		}
		opt.Services = append(opt.Services, egress.Service{
			ID: s.ID, Name: s.Name, PerInstance: s.Announce.Instances(), Aggregate: s.Announce.Whole(),
			AggregateID: s.AggregateID, MinInstances: s.MinInstances,
			Normalization: s.Normalization, Instances: s.Instances,
		})
	}
	return opt
}

// ingressOptions is the ingress core's part of a configuration.
func ingressOptions(cfg *config.Config, keys *keys) ingress.Options {
	opt := ingress.Options{
		Domain: cfg.Agent.Domain, Normalization: cfg.Agent.NormalizationProfile, ASN: cfg.BGP.ASN,
		Keys: keys.ring, RequireAuth: cfg.Auth.Require,
		MaxInstances: cfg.BGP.MaxInstancesPerService,
		Default:      cfg.Selection,
		Policies:     map[advert.CSID]selection.Policy{},
		Names:        map[advert.CSID]string{},
	}
	for _, s := range cfg.Services {
		opt.Policies[s.ID], opt.Names[s.ID] = s.Policy, s.Name
	}
	opt.Sites = append(opt.Sites, ingress.Site{Locator: cfg.Agent.Locator, Name: cfg.Agent.Name, Weight: 1})
	for _, s := range cfg.Sites {
		opt.Sites = append(opt.Sites, ingress.Site{Locator: s.Locator, Name: s.Name, Weight: s.Weight, Preference: int(s.Preference)})
	}
	return opt
}

// keys are the keys of a configuration, ready for use.
type keys struct {
	ring *advert.Keyring // nil: none configured
	sign *advert.Key     // nil: do not sign
}

func newKeys(a config.Auth) (*keys, error) {
	ks := &keys{}
	var all []*advert.Key
	for _, k := range a.Keys {
		key, err := newKey(k)
		if err != nil {
			return nil, fmt.Errorf("auth: key %d: %w", k.ID, err)
		}
		all = append(all, key)
		if k.ID == a.SignWith {
			ks.sign = key
		}
	}
	if len(all) > 0 {
		ring, err := advert.NewKeyring(all...)
		if err != nil {
			return nil, fmt.Errorf("auth: %w", err)
		}
		ks.ring = ring
	}
	return ks, nil
}

func newKey(k config.Key) (*advert.Key, error) {
	make := advert.NewEd25519Key
	switch {
	case k.Algorithm == config.HMACSHA256:
		make = advert.NewHMACKey
	case k.Public:
		make = advert.NewEd25519PublicKey
	}
	key, err := make(k.ID, k.Secret.Reveal())
	if err != nil {
		return nil, err
	}
	key.NotBefore, key.NotAfter = k.NotBefore, k.NotAfter
	return key, nil
}

// instances are all that this site collects about.
func (a *Agent) instances() []collect.Instance {
	var all []collect.Instance
	for _, s := range a.cfg.Services {
		all = append(all, s.Instances...)
	}
	return all
}
