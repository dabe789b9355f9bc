// Package pki makes the certificates and keys of one cluster: a certificate authority and what it signs.
package pki

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

const (
	validity    = 10 * 365 * 24 * time.Hour
	renewBefore = 30 * 24 * time.Hour
	backdating  = time.Hour // the clocks of pods and host may differ a little
)

// Identity is who a certificate speaks for. Server certificates have addresses, client certificates have none.
type Identity struct {
	Name          string // file name without extension
	CommonName    string
	Organizations []string
	DNSNames      []string
	Addresses     []net.IP
}

// Ensure makes dir hold ca.crt and ca.key, sa.key and sa.pub (service-account tokens), and a .crt and .key for every
// identity. What is there and still fits is kept.
func Ensure(dir string, identities []Identity) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	authority, key, err := ensureAuthority(dir)
	if err != nil {
		return fmt.Errorf("certificate authority in %s: %w", dir, err)
	}
	if err := ensureTokenKey(dir); err != nil {
		return fmt.Errorf("service-account key in %s: %w", dir, err)
	}
	for _, identity := range identities {
		if fits(dir, identity, authority) {
			continue
		}
		if err := issue(dir, identity, authority, key); err != nil {
			return fmt.Errorf("certificate %s in %s: %w", identity.Name, dir, err)
		}
	}
	return nil
}

func ensureAuthority(dir string) (*x509.Certificate, *ecdsa.PrivateKey, error) {
	certificate, certificateErr := readCertificate(filepath.Join(dir, "ca.crt"))
	key, keyErr := readKey(filepath.Join(dir, "ca.key"))
	if certificateErr == nil && keyErr == nil && time.Until(certificate.NotAfter) > renewBefore {
		return certificate, key, nil
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	template, err := newTemplate("devcluster-ca", nil)
	if err != nil {
		return nil, nil, err
	}
	template.IsCA, template.BasicConstraintsValid = true, true
	template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign | x509.KeyUsageDigitalSignature
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, nil, err
	}
	if err := writePair(dir, "ca", der, key); err != nil {
		return nil, nil, err
	}
	certificate, err = x509.ParseCertificate(der)
	return certificate, key, err
}

func ensureTokenKey(dir string) error {
	if _, err := readKey(filepath.Join(dir, "sa.key")); err == nil {
		return nil
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return err
	}
	return errors.Join(writeKey(dir, "sa", key), writePEM(filepath.Join(dir, "sa.pub"), "PUBLIC KEY", public))
}

func issue(dir string, identity Identity, authority *x509.Certificate, authorityKey *ecdsa.PrivateKey) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template, err := newTemplate(identity.CommonName, identity.Organizations)
	if err != nil {
		return err
	}
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	if len(identity.Addresses) > 0 {
		template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		template.DNSNames, template.IPAddresses = identity.DNSNames, identity.Addresses
	}
	der, err := x509.CreateCertificate(rand.Reader, template, authority, key.Public(), authorityKey)
	if err != nil {
		return err
	}
	return writePair(dir, identity.Name, der, key)
}

// fits says whether the certificate of identity is there, signed by authority, not about to expire, and good for
// every address.
func fits(dir string, identity Identity, authority *x509.Certificate) bool {
	certificate, err := readCertificate(filepath.Join(dir, identity.Name+".crt"))
	if err != nil || certificate.CheckSignatureFrom(authority) != nil || time.Until(certificate.NotAfter) < renewBefore {
		return false
	}
	if _, err := readKey(filepath.Join(dir, identity.Name+".key")); err != nil {
		return false
	}
	for _, address := range identity.Addresses {
		if certificate.VerifyHostname(address.String()) != nil {
			return false
		}
	}
	return true
}

func newTemplate(commonName string, organizations []string) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, err
	}
	now := time.Now()
	return &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: commonName, Organization: organizations},
		NotBefore:    now.Add(-backdating),
		NotAfter:     now.Add(validity),
	}, nil
}

func writePair(dir, name string, der []byte, key *ecdsa.PrivateKey) error {
	return errors.Join(writeKey(dir, name, key), writePEM(filepath.Join(dir, name+".crt"), "CERTIFICATE", der))
}

func writeKey(dir, name string, key *ecdsa.PrivateKey) error {
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return err
	}
	return writePEM(filepath.Join(dir, name+".key"), "EC PRIVATE KEY", der)
}

func writePEM(path, kind string, der []byte) error {
	var text bytes.Buffer
	if err := pem.Encode(&text, &pem.Block{Type: kind, Bytes: der}); err != nil {
		return err
	}
	return os.WriteFile(path, text.Bytes(), 0o600)
}

func readCertificate(path string) (*x509.Certificate, error) {
	der, err := readPEM(path)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

func readKey(path string) (*ecdsa.PrivateKey, error) {
	der, err := readPEM(path)
	if err != nil {
		return nil, err
	}
	return x509.ParseECPrivateKey(der)
}

func readPEM(path string) ([]byte, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("%s holds no PEM block", path)
	}
	return block.Bytes, nil
}
