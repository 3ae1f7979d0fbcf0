package promotion

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/hiddeco/sshsig"
	"golang.org/x/crypto/ssh"
)

// SignatureNamespace keeps signatures made for something else, such as git commits, from counting as decisions.
const SignatureNamespace = "penstock-decision"

// Sign signs the decision with an SSH key, in the form of `ssh-keygen -Y sign`.
func (d *Decision) Sign(signer ssh.Signer) (err error) {
	d.Signature, err = sign(d.Signed(), signer, SignatureNamespace)
	return err
}

// Sign signs the waiver, as [Decision.Sign] does.
func (w *Waiver) Sign(signer ssh.Signer) (err error) {
	w.Signature, err = sign(w.Signed(), signer, SignatureNamespace)
	return err
}

func sign(text []byte, signer ssh.Signer, namespace string) (string, error) {
	signature, err := sshsig.Sign(bytes.NewReader(text), signer, sshsig.HashSHA512, namespace)
	if err != nil {
		return "", fmt.Errorf("sign the decision: %w", err)
	}
	return string(sshsig.Armor(signature)), nil
}

// signedBy returns the key by which somebody has signed exactly this text: one of those that the signers file gives to that
// name, for that namespace. Every error is a [*RefusedError].
func signedBy(signers, namespace, name string, text []byte, armored string) (ssh.PublicKey, error) {
	refuse := func(what string) (ssh.PublicKey, error) {
		return nil, &RefusedError{what, "sign it with --sign KEY, with a key that the environment's signers file lists for " + name}
	}
	if armored == "" {
		return refuse("the environment takes signed decisions only, and this one is not signed")
	}
	signature, err := sshsig.Unarmor([]byte(armored))
	if err != nil {
		return refuse("the signature cannot be read: " + err.Error())
	}
	keys, err := parseSigners(signers, namespace)
	if err != nil {
		return refuse("the signers file cannot be read: " + err.Error())
	}
	for _, known := range keys {
		if !known.is(name) {
			continue
		}
		if sshsig.Verify(bytes.NewReader(text), signature, known.key, signature.HashAlgorithm, namespace) == nil {
			return known.key, nil
		}
	}
	return refuse("it is not signed by a key of " + name)
}

// signer is one line of an allowed_signers file.
type signer struct {
	principals []string
	key        ssh.PublicKey
}

func (s signer) is(name string) bool {
	for _, principal := range s.principals {
		if strings.EqualFold(principal, strings.TrimSpace(name)) {
			return true
		}
	}
	return false
}

// parseSigners reads an allowed_signers file (ssh-keygen(1)): principals, options, key. Of the options it knows
// namespaces; a line with any other is an error, because what it limits would go unlimited. Patterns are not principals.
func parseSigners(text, namespace string) ([]signer, error) {
	var found []signer
	for i, line := range strings.Split(text, "\n") {
		fields := strings.Fields(line)
		if len(fields) == 0 || strings.HasPrefix(fields[0], "#") {
			continue
		}
		one, counts, err := parseSigner(fields, namespace)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", i+1, err)
		}
		if counts {
			found = append(found, one)
		}
	}
	return found, nil
}

// namespacesOption is the one option that is known, alone.
var namespacesOption = regexp.MustCompile(`^(?i:namespaces)="([^"]*)"$`)

// parseSigner reads one line; counts is false for a key of other namespaces.
func parseSigner(fields []string, wanted string) (_ signer, counts bool, _ error) {
	one, counts := signer{principals: strings.Split(fields[0], ",")}, true
	for _, principal := range one.principals {
		if principal == "" || strings.ContainsAny(principal, `*?!"`) {
			return one, false, fmt.Errorf("%q: write principals out, without patterns", principal)
		}
	}
	rest := fields[1:]
	if len(rest) > 0 && strings.Contains(rest[0], "=") {
		option := namespacesOption.FindStringSubmatch(rest[0])
		if option == nil {
			return one, false, fmt.Errorf("option %q is not supported", rest[0])
		}
		counts = false
		for _, namespace := range strings.Split(option[1], ",") {
			counts = counts || namespace == wanted
		}
		rest = rest[1:]
	}
	if len(rest) < 2 {
		return one, false, errors.New("write principals, then the key as in a .pub file")
	}
	blob, err := base64.StdEncoding.DecodeString(rest[1])
	if err != nil {
		return one, false, fmt.Errorf("the key is not base64: %w", err)
	}
	if one.key, err = ssh.ParsePublicKey(blob); err != nil {
		return one, false, fmt.Errorf("the key cannot be read: %w", err)
	}
	if one.key.Type() != rest[0] {
		return one, false, fmt.Errorf("%s is not what the key is (%s); options go before the key and are separated by commas", rest[0], one.key.Type())
	}
	return one, counts, nil
}
