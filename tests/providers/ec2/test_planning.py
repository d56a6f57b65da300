"""Plans: what is found in an account, and what is refused before anything is made."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from spawn.domain.costs import Price
from spawn.domain.errors import ConfigurationError, Conflict, NotFound, SpawnError, UsageError
from spawn.domain.fleets import Plan
from spawn.engine.fleets import Wish
from spawn.providers.ec2.clients import Clients
from spawn.providers.ec2.planning import plan_with
from spawn.testing.ec2lab.lab import Lab
from spawn.testing.ec2lab.plan import Fault, FaultKind, Image, SpotPrice
from tests.providers.ec2.labs import NOON, clients_of, lab, plan_in, wish

MAKES_NOTHING = ("Describe", "Get", "List", "Head", "Lookup", "Simulate")


@pytest.fixture(scope="module")
def plain() -> Iterator[Lab]:
    """A laboratory in which nothing is amiss and that no test changes."""
    with lab() as made:
        yield made


def refusal(where: Lab, asked: Wish, kind: type[SpawnError] = UsageError) -> str:
    """The sentence with which a wish is refused; and nothing was launched."""
    with pytest.raises(kind) as caught:
        plan_in(where, asked)
    assert not where.lives()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def said(plan: Plan) -> str:
    return "\n".join(plan.notes)


# --- what is found ----------------------------------------------------------------------------------------------------


def test_the_wanted_type_is_offered_in_every_zone_before_the_next_type(plain: Lab) -> None:
    offers = plan_in(plain, wish(instance_types=("c7i.large", "c6i.large"))).fleet.offers
    assert [offer.type for offer in offers] == ["c7i.large"] * 6 + ["c6i.large"] * 6
    assert [offer.zone for offer in offers[:6]] == [f"us-east-1{letter}" for letter in "abcdef"]
    assert len({offer.subnet for offer in offers}) == 6


def test_zones_of_several_regions_take_turns(plain: Lab) -> None:
    offers = plan_in(plain, wish(regions=("us-west-2", "eu-west-1"))).fleet.offers
    assert [offer.region for offer in offers[:4]] == ["us-west-2", "eu-west-1", "us-west-2", "eu-west-1"]
    assert {offer.ami for offer in offers if offer.region == "us-west-2"}.isdisjoint(offer.ami for offer in offers if offer.region == "eu-west-1")


def test_each_architecture_gets_its_own_latest_image(plain: Lab) -> None:
    offers = plan_in(plain, wish(instance_types=("c7g.large", "c7i.large"))).fleet.offers
    assert {(offer.type, offer.architecture) for offer in offers} == {("c7g.large", "arm64"), ("c7i.large", "x86_64")}
    assert len({offer.ami for offer in offers}) == 2


def test_a_fleet_says_whose_account_bucket_quota_and_volumes_it_is_about(plain: Lab) -> None:
    fleet = plan_in(plain, wish(spot=True, on_demand_fallback=True)).fleet
    assert (fleet.account, fleet.bucket, fleet.bucket_region) == (plain.account, f"spawn-{plain.account}-us-east-1", "us-east-1")
    assert fleet.quotas == {"us-east-1/spot": 100_000.0, "us-east-1/on-demand": 100_000.0}
    assert (fleet.volume_gib, fleet.volume_usd_gib_month) == (8, 0.08)


def test_prices_come_from_the_price_list_and_the_spot_history(plain: Lab) -> None:
    plan = plan_in(plain, wish(spot=True))
    assert plan.fleet.offers[0].on_demand == Price(usd=0.08925, source="AWS Price List", as_of="2026-09-21")
    assert plan.fleet.offers[0].spot == Price(usd=0.0312, source="spot price history", as_of="2026-09-21")
    assert [quote.label for quote in plan.estimate.quotes[:2]] == ["spot", "on-demand"]


def test_a_plan_makes_nothing_and_asks_little() -> None:
    with lab() as where:
        plan_in(where, wish(1000, spot=True))
        calls = where.calls.tally()
        assert calls.pop("RunInstances") == 1
        assert all(action.startswith(MAKES_NOTHING) for action in calls)
        assert sum(calls.values()) <= 12
        assert not where.lives()


def test_an_unknown_quota_or_price_list_is_a_note_and_no_refusal() -> None:
    with lab(forbidden=("servicequotas:*", "pricing:*")) as where:
        plan = plan_in(where, wish())
    assert plan.fleet.quotas == {}
    assert plan.estimate.quota is None
    assert plan.fleet.offers[0].on_demand == Price(usd=0.08925, source="table shipped with spawn", as_of="2026-01-19")
    assert "the vCPU quota of us-east-1 is not known" in said(plan)
    assert "the price of c7i.large in us-east-1 is of 2026-01-19, from the table shipped with spawn" in said(plan)


def test_a_price_that_nobody_knows_is_left_out() -> None:
    with lab(forbidden=("pricing:*",)) as where:
        plan = plan_in(where, wish(regions=("eu-west-1",), instance_types=("c7a.large",)))
    assert plan.fleet.offers[0].on_demand is None
    assert plan.estimate.usd is None
    assert "no price of c7a.large in eu-west-1 is known" in said(plan)


def test_a_quota_below_the_array_makes_waves() -> None:
    with lab(quotas={"L-1216C47A": 10.0}) as where:
        plan = plan_in(where, wish(12))
    assert (plan.estimate.waves, plan.estimate.quota) == (3, 10.0)
    assert "holds 5 of 12 instances: they run in 3 waves" in said(plan)


def test_a_type_without_quota_is_left_out_while_another_is_left() -> None:
    with lab(quotas={"L-DB2E81BA": 0.0}) as where:
        plan = plan_in(where, wish(instance_types=("g5.xlarge", "c7i.large")))
    assert {offer.type for offer in plan.fleet.offers} == {"c7i.large"}
    assert "g5.xlarge is left out in us-east-1: the vCPU quota does not hold one" in said(plan)


def test_zones_where_spot_costs_more_than_is_to_be_paid_are_left_out() -> None:
    with lab(spot_prices=(SpotPrice(zone="us-east-1b", type="c7i.large", price=0.09),)) as where:
        plan = plan_in(where, wish(spot=True, spot_max_price=0.05))
    assert "us-east-1b" not in {offer.zone for offer in plan.fleet.offers}
    assert "spot costs more than $0.05 an hour for c7i.large in us-east-1b: left out" in said(plan)


def test_a_type_that_some_zones_do_not_have_is_not_offered_there() -> None:
    with lab(unoffered={"c7i.large": ("us-east-1a", "us-east-1f")}) as where:
        assert [offer.zone for offer in plan_in(where, wish()).fleet.offers] == [f"us-east-1{letter}" for letter in "bcde"]


def test_subnets_and_groups_that_are_named_are_used(plain: Lab) -> None:
    ec2 = clients_of(plain).client("ec2")
    subnet = ec2.describe_subnets(Filters=[{"Name": "availability-zone", "Values": ["us-east-1c"]}])["Subnets"][0]
    group = ec2.describe_security_groups(Filters=[{"Name": "vpc-id", "Values": [subnet["VpcId"]]}])["SecurityGroups"][0]["GroupId"]
    (offer,) = plan_in(plain, wish(subnets=(subnet["SubnetId"],), security_groups=(group,))).fleet.offers
    assert (offer.zone, offer.subnet, offer.security_groups) == ("us-east-1c", subnet["SubnetId"], (group,))


def test_what_a_policy_opens_and_what_no_ttl_means_is_said(plain: Lab) -> None:
    plan = plan_in(plain, wish(ttl=None, iam_policies=("s3:FullAccess",)))
    assert "s3:FullAccess: the scripts may read, overwrite and delete every object of every bucket of this account" in said(plan)
    assert "no TTL: an instance whose agent or script hangs is billed until somebody ends it" in said(plan)


def test_a_volume_to_hibernate_holds_memory_too(plain: Lab) -> None:
    assert plan_in(plain, wish(hibernate=True)).fleet.volume_gib == 8 + 4


# --- what is refused --------------------------------------------------------------------------------------------------


def test_an_unknown_type_is_refused_with_names_spelled_alike(plain: Lab) -> None:
    sentence = refusal(plain, wish(instance_types=("c7i.lage",)))
    assert sentence.startswith("--instance-type: 'c7i.lage' is not an instance type that us-east-1 has: did you mean c7i.large")


def test_an_unknown_region_is_refused_with_the_one_spelled_alike(plain: Lab) -> None:
    sentence = refusal(plain, wish(regions=("us-esat-1",)))
    assert sentence.startswith("--region: 'us-esat-1' is not an AWS region: did you mean ")
    assert "us-east-1" in sentence
    with pytest.raises(UsageError, match="'us-moon-1' is not an AWS region"):
        plan_with(Clients(plain.environment() | {"AWS_REGION": "us-moon-1"}), wish(), NOON)


def test_a_region_without_default_subnets_is_refused_with_the_way_out() -> None:
    with lab() as where:
        ec2 = clients_of(where).client("ec2", "us-west-2")
        for subnet in ec2.describe_subnets()["Subnets"]:
            ec2.delete_subnet(SubnetId=subnet["SubnetId"])
        assert refusal(where, wish(regions=("us-west-2",)), NotFound) == (
            "us-west-2 has no default VPC with subnets: name subnets with --subnet-id, or run `aws ec2 create-default-vpc --region us-west-2`"
        )


def test_a_command_without_credentials_or_region_is_refused_with_what_to_do(plain: Lab) -> None:
    nobody = {"HOME": "/nonexistent", "AWS_EC2_METADATA_DISABLED": "true"}
    with pytest.raises(ConfigurationError, match="no AWS region is set"):
        plan_with(Clients(nobody), wish(), NOON)
    with pytest.raises(ConfigurationError, match="no AWS credentials were found: run `aws configure` or `aws sso login`"):
        plan_with(Clients(nobody | {"AWS_REGION": "us-east-1", "AWS_ENDPOINT_URL": plain.endpoint}), wish(), NOON)


@pytest.mark.parametrize(
    ("ami", "kind", "sentence"),
    [
        ("ubuntu", UsageError, "--ami: 'ubuntu' is not the id of an image: expected one such as ami-0abcdef1234567890"),
        ("ami-00000000", NotFound, "--ami: there is no image ami-00000000 in us-east-1 that this account may use: images have another id in each region"),
    ],
)
def test_an_image_that_is_not_there_is_refused(plain: Lab, ami: str, kind: type[SpawnError], sentence: str) -> None:
    assert refusal(plain, wish(ami=ami), kind) == sentence


def test_an_image_of_another_architecture_is_refused_with_both_names() -> None:
    with lab(images=(Image(id="ami-0a0a0a0a", architecture="arm64", name="mine"),)) as where:
        assert refusal(where, wish(ami="ami-0a0a0a0a")) == (
            "--ami: ami-0a0a0a0a is for arm64 and c7i.large needs x86_64: name an image and types of one architecture"
        )


def test_a_volume_smaller_than_the_image_is_refused() -> None:
    with lab(images=(Image(id="ami-0b0b0b0b", name="big", root_gb=30),)) as where:
        assert refusal(where, wish(ami="ami-0b0b0b0b", volume_gib=20)) == "--volume-size: 20 GiB is too small: the image ami-0b0b0b0b needs 30 GiB"


def test_what_is_named_and_not_there_is_refused(plain: Lab) -> None:
    assert "there is no key pair 'mine' in us-east-1" in refusal(plain, wish(key_name="mine"), NotFound)
    assert "--subnet-id: subnet-0123 is not in us-east-1" in refusal(plain, wish(subnets=("subnet-0123",)), NotFound)
    assert "--security-group-id: sg-0123 is not in us-east-1" in refusal(plain, wish(security_groups=("sg-0123",)), NotFound)
    assert "there is no instance profile 'mine'" in refusal(plain, wish(instance_profile="mine"), NotFound)
    assert "there is no policy arn:aws:iam::123456789012:policy/mine" in refusal(plain, wish(iam_policies=("arn:aws:iam::123456789012:policy/mine",)), NotFound)
    assert "--bucket: there is no bucket nowhere-at-all" in refusal(plain, wish(bucket="nowhere-at-all"), NotFound)


def test_a_group_of_another_vpc_is_refused() -> None:
    with lab() as where:
        ec2 = clients_of(where).client("ec2")
        vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
        group = ec2.create_security_group(GroupName="elsewhere", Description="d", VpcId=vpc)["GroupId"]
        sentence = refusal(where, wish(security_groups=(group,)))
    assert sentence.startswith("--security-group-id: no group is of vpc-")
    assert f"{group} (of {vpc})" in sentence


def test_a_group_that_is_nowhere_is_refused_beside_one_that_is_there() -> None:
    with lab() as where:
        ec2 = clients_of(where).client("ec2")
        (vpc,) = ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"]
        group = ec2.create_security_group(GroupName="mine", Description="d", VpcId=vpc["VpcId"])["GroupId"]
        assert plan_in(where, wish(security_groups=(group,))).fleet.offers[0].security_groups == (group,)
        assert "--security-group-id: sg-0123 is not in us-east-1" in refusal(where, wish(security_groups=(group, "sg-0123")), NotFound)


def test_a_ttl_that_leaves_no_time_for_work_is_remarked_upon(plain: Lab) -> None:
    assert "a TTL of 10s leaves little or no time for work" in said(plan_in(plain, wish(ttl=timedelta(seconds=10))))
    assert "little or no time" not in said(plan_in(plain, wish(ttl=timedelta(minutes=3))))


def test_a_type_in_no_zone_of_the_launch_is_refused() -> None:
    with lab(unoffered={"c7i.large": tuple(f"us-east-1{letter}" for letter in "abcdef")}) as where:
        assert "c7i.large is not in us-east-1a, " in refusal(where, wish())


def test_a_missing_permission_is_named_with_its_resource() -> None:
    with lab(forbidden=("ec2:RunInstances",)) as where:
        sentence = refusal(where, wish(), ConfigurationError)
    assert f"cannot launch instances in us-east-1: arn:aws:iam::{where.account}:user/laboratory may not call ec2:RunInstances on arn:aws:ec2:" in sentence
    assert "aws sts decode-authorization-message --encoded-message bGFib3JhdG9yeQ" in sentence


@pytest.mark.parametrize(
    ("action", "kind"),
    [("iam:CreateRole", "role"), ("iam:PutRolePolicy", "role"), ("iam:PassRole", "role"), ("iam:CreateInstanceProfile", "instance-profile")],
)
def test_a_right_that_only_the_launch_itself_would_miss_is_named_by_the_plan(action: str, kind: str) -> None:
    with lab(forbidden=(action,)) as where:
        sentence = refusal(where, wish(), ConfigurationError)
        assert where.calls.count("SimulatePrincipalPolicy") == 1
    assert sentence == (
        f"cannot make a role for the instances: arn:aws:iam::{where.account}:user/laboratory may not call {action} on "
        f"arn:aws:iam::{where.account}:{kind}/spawn/*: name an instance profile that there is with --instance-profile, "
        "or see docs/ec2.md for a policy that allows what spawn needs"
    )


def test_with_a_profile_of_ones_own_no_right_to_make_roles_is_needed() -> None:
    with lab() as where:
        iam = clients_of(where).client("iam")
        iam.create_role(RoleName="mine", AssumeRolePolicyDocument="{}")
        iam.create_instance_profile(InstanceProfileName="mine")
        iam.add_role_to_instance_profile(InstanceProfileName="mine", RoleName="mine")
        where.forbid("iam:CreateRole")
        plan_in(where, wish(instance_profile="mine"))
        assert where.calls.count("SimulatePrincipalPolicy") == 0


@pytest.mark.parametrize("others", [("iam:SimulatePrincipalPolicy", "iam:CreateRole"), ("iam:AttachRolePolicy",)])
def test_rights_that_may_not_be_looked_up_or_are_not_needed_keep_no_plan_from_anything(others: tuple[str, ...]) -> None:
    with lab(forbidden=others) as where:
        plan_in(where, wish())
        if "iam:AttachRolePolicy" in others:
            asked = wish(iam_policies=("arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess",))
            assert "may not call iam:AttachRolePolicy on" in refusal(where, asked, ConfigurationError)


@pytest.mark.parametrize(
    ("signed_in", "part"),
    [("expired", "the AWS credentials have expired (ExpiredToken)"), ("unknown", "AWS does not accept these credentials (InvalidClientTokenId")],
)
def test_credentials_that_are_no_good_are_refused(signed_in: str, part: str) -> None:
    with lab(signed_in=signed_in) as where:
        assert part in refusal(where, wish(), ConfigurationError)


def test_a_spot_price_below_the_market_is_refused_with_the_market_price(plain: Lab) -> None:
    assert refusal(plain, wish(spot=True, spot_max_price=0.01)) == (
        "--spot-max-price: $0.01 an hour is below the market: spot instances cost $0.0312 an hour or more (c7i.large in us-east-1a); "
        "raise it, or leave it out and pay at most the on-demand price"
    )


def test_a_spot_price_below_the_market_with_a_fallback_is_a_note(plain: Lab) -> None:
    plan = plan_in(plain, wish(spot=True, spot_max_price=0.01, on_demand_fallback=True))
    assert len(plan.fleet.offers) == 6
    assert "below the market" in said(plan)


def test_a_quota_below_one_instance_is_refused_with_where_to_ask_for_more() -> None:
    with lab(quotas={"L-1216C47A": 1.0}) as where:
        sentence = refusal(where, wish(), Conflict)
    assert "the quota for on-demand instances like c7i.large in us-east-1 is 1 vCPUs, and one needs 2" in sentence
    assert "quotas/L-1216C47A" in sentence


def test_a_budget_that_may_be_exceeded_is_refused(plain: Lab) -> None:
    sentence = refusal(plain, wish(100, budget_usd=5.0))
    assert sentence.startswith("--budget: $5.00 is exceeded: 100 × 2 h at $0.08925 may cost $19.03 (volumes and public addresses included)")
    assert refusal(plain, wish(100, budget_usd=0.0001)).startswith("--budget: $0.0001 is exceeded: ")
    assert plan_in(plain, wish(100, budget_usd=20.0)).estimate.usd == pytest.approx(19.025, abs=0.001)
    assert "without a TTL nothing limits what instances cost" in refusal(plain, wish(ttl=None, budget_usd=5.0))


def test_a_bucket_of_somebody_else_is_refused() -> None:
    with lab(forbidden=("s3:ListBucket",)) as where:
        assert "may not be used by" in refusal(where, wish(), ConfigurationError)


@pytest.mark.parametrize(
    ("asked", "part"),
    [
        (wish(tags={f"tag-{number}": "x" for number in range(51)}), "51 tags: EC2 takes 50 for a resource, 10 of which are spawn's own: leave out 11"),
        (wish(tags={"aws:mine": "x"}), "'aws:mine' cannot be given: tags that begin with 'aws:' are reserved"),
        (wish(tags={"Name": "x"}), "'Name' cannot be given: instances are named by --name"),
        (wish(tags={"k" * 128: "x"}), "has 128 characters: EC2 takes 1 to 127 for the name of a tag"),
        (wish(tags={"long": "x" * 256}), "the value of 'long' has 256 characters: EC2 takes at most 255"),
        (wish(name="n" * 255), "has 255 characters: instances are named NAME-INDEX, for which EC2 leaves 252"),
        (wish(work_bytes=6 * 1024 * 1024), "script and environment have 6.0 MiB, and at most 5 MiB can be sent"),
        (wish(instances=11), "11 instances for 10 indexes: at most one for each"),
        (wish(iam_policies=("s3:ReadOnly",), instance_profile="mine"), "the instance profile 'mine' is used as it is"),
        (wish(ttl=timedelta(days=400)), "400d is longer than a year"),
        (wish(spot=True, spot_max_price=0.0), "0 is not more than 0"),
    ],
)
def test_what_ec2_takes_from_nobody_is_refused_without_asking_it(plain: Lab, asked: Wish, part: str) -> None:
    before = len(plain.calls)
    assert part in refusal(plain, asked)
    assert len(plain.calls) == before


def test_a_throttled_look_is_asked_again() -> None:
    with lab(faults=(Fault(kind=FaultKind.THROTTLED, service="ec2", action="DescribeSubnets", nth=1),)) as where:
        assert plan_in(where, wish(), NOON).fleet.offers
