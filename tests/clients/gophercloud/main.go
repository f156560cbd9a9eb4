// The Identity and Image APIs by gophercloud, as Terraform's provider and other programs in Go use them.
//
//	client AUTH_URL ADMIN_PASSWORD WEB_URL WEB_FILE
//
// WEB_URL is an address that the server may fetch from, and WEB_FILE the file that is there. Prints 'OK step' or 'FAIL
// step' a line and 'passed N failed N', and exits 0 only if no step failed. What it makes it removes.
package main

import (
	"fmt"
	"os"

	"github.com/gophercloud/gophercloud"
	"github.com/gophercloud/gophercloud/openstack"
)

const domain = "Default"

// account is what a user reaches, and who it is.
type account struct {
	provider         *gophercloud.ProviderClient
	identity, images *gophercloud.ServiceClient
	user, project    string // Ids.
}

// session is what the parts share: each part leaves what later ones need.
type session struct {
	authURL, password string
	webURL, webFile   string
	admin             account
	owner, guest      account
}

func main() {
	if len(os.Args) != 5 {
		fmt.Fprintln(os.Stderr, "client AUTH_URL ADMIN_PASSWORD WEB_URL WEB_FILE")
		os.Exit(2)
	}
	shared := &session{authURL: os.Args[1], password: os.Args[2], webURL: os.Args[3], webFile: os.Args[4]}
	(&steps{}).run(shared.signIn, shared.people, shared.lifeOfAnImage, shared.changes, shared.listing,
		shared.sharing, shared.imports, shared.importByTask, shared.end)
}

// as signs in, and finds both services in the catalog.
func (shared *session) as(options gophercloud.AuthOptions) (account, error) {
	options.IdentityEndpoint = shared.authURL
	options.AllowReauth = true
	provider, err := openstack.AuthenticatedClient(options)
	if err != nil {
		return account{}, err
	}
	identity, err := openstack.NewIdentityV3(provider, gophercloud.EndpointOpts{})
	if err != nil {
		return account{}, err
	}
	images, err := openstack.NewImageServiceV2(provider, gophercloud.EndpointOpts{})
	return account{provider: provider, identity: identity, images: images}, err
}

func byPassword(name, password, project string) gophercloud.AuthOptions {
	return gophercloud.AuthOptions{Username: name, Password: password, DomainName: domain, TenantName: project}
}
