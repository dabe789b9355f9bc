package cluster

import (
	"context"
	"net"

	core "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	rbac "k8s.io/api/rbac/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	applycore "k8s.io/client-go/applyconfigurations/core/v1"
	applydiscovery "k8s.io/client-go/applyconfigurations/discovery/v1"
	applyrbac "k8s.io/client-go/applyconfigurations/rbac/v1"
	"k8s.io/client-go/kubernetes"
)

// dnsUser is who CoreDNS is to the API server: it runs on the machine, beside the other components, with a certificate.
const dnsUser = "system:coredns"

// applyDNS points the Service kube-dns at the CoreDNS on node, and lets that read what it serves.
func (c *Cluster) applyDNS(ctx context.Context, node net.IP) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	how := meta.ApplyOptions{FieldManager: "devcluster", Force: true}
	if err := applyDNSPermissions(ctx, client, how); err != nil {
		return err
	}
	service := applycore.Service("kube-dns", "kube-system").
		WithLabels(map[string]string{"k8s-app": "kube-dns", "kubernetes.io/name": "CoreDNS"}).
		WithSpec(applycore.ServiceSpec().WithClusterIP(dnsService).WithPorts(
			applycore.ServicePort().WithName("dns").WithPort(53).WithProtocol(core.ProtocolUDP),
			applycore.ServicePort().WithName("dns-tcp").WithPort(53).WithProtocol(core.ProtocolTCP)))
	if _, err := client.CoreV1().Services("kube-system").Apply(ctx, service, how); err != nil {
		return err
	}
	port := int32(c.dnsPort())
	endpoints := applydiscovery.EndpointSlice("kube-dns-node", "kube-system").
		WithLabels(map[string]string{discovery.LabelServiceName: "kube-dns", discovery.LabelManagedBy: "devcluster"}).
		WithAddressType(discovery.AddressTypeIPv4).
		WithEndpoints(applydiscovery.Endpoint().WithAddresses(node.String()).
			WithConditions(applydiscovery.EndpointConditions().WithReady(true))).
		WithPorts(
			applydiscovery.EndpointPort().WithName("dns").WithPort(port).WithProtocol(core.ProtocolUDP),
			applydiscovery.EndpointPort().WithName("dns-tcp").WithPort(port).WithProtocol(core.ProtocolTCP))
	_, err = client.DiscoveryV1().EndpointSlices("kube-system").Apply(ctx, endpoints, how)
	return err
}

func applyDNSPermissions(ctx context.Context, client *kubernetes.Clientset, how meta.ApplyOptions) error {
	role := applyrbac.ClusterRole(dnsUser).WithRules(
		applyrbac.PolicyRule().WithAPIGroups("").WithResources("services", "pods", "namespaces").WithVerbs("list", "watch"),
		applyrbac.PolicyRule().WithAPIGroups(discovery.GroupName).WithResources("endpointslices").WithVerbs("list", "watch"))
	if _, err := client.RbacV1().ClusterRoles().Apply(ctx, role, how); err != nil {
		return err
	}
	binding := applyrbac.ClusterRoleBinding(dnsUser).
		WithRoleRef(applyrbac.RoleRef().WithAPIGroup(rbac.GroupName).WithKind("ClusterRole").WithName(dnsUser)).
		WithSubjects(applyrbac.Subject().WithAPIGroup(rbac.GroupName).WithKind(rbac.UserKind).WithName(dnsUser))
	_, err := client.RbacV1().ClusterRoleBindings().Apply(ctx, binding, how)
	return err
}
