;; The rules of the household games that agentgym generates. Names of types, predicates and actions are those of
;; ALFWorld's domain, so that its tools read these games too; the rules are written anew, without what no game uses.
(define (domain alfred)
  (:requirements :adl :typing :action-costs)
  (:types agent location receptacle object rtype otype)
  (:predicates
    (atLocation ?a - agent ?l - location)
    (receptacleAtLocation ?r - receptacle ?l - location)
    (objectAtLocation ?o - object ?l - location)
    (inReceptacle ?o - object ?r - receptacle)
    (inReceptacleObject ?inner - object ?outer - object)
    (receptacleType ?r - receptacle ?t - rtype)
    (objectType ?o - object ?t - otype)
    (canContain ?place - rtype ?kind - otype)
    (holds ?a - agent ?o - object)
    (holdsAny ?a - agent)
    (openable ?r - receptacle)
    (opened ?r - receptacle)
    (checked ?anything)
    (pickupable ?o - object)
    (isReceptacleObject ?o - object)
    (cleanable ?o - object)
    (isClean ?o - object)
    (heatable ?o - object)
    (isHot ?o - object)
    (coolable ?o - object)
    (isCool ?o - object)
    (toggleable ?o - object)
    (isToggled ?o - object)
    (sliceable ?o - object)
    (isSliced ?o - object))
  (:functions (total-cost) - number)

  ;; Looking: allowed anywhere, tells and changes nothing that matters.
  (:action look
    :parameters (?a - agent ?l - location)
    :precondition (atLocation ?a ?l)
    :effect (checked ?l))
  (:action inventory
    :parameters (?a - agent)
    :precondition ()
    :effect (checked ?a))
  (:action help
    :parameters (?a - agent)
    :precondition ()
    :effect (checked ?a))
  (:action examineReceptacle
    :parameters (?a - agent ?r - receptacle)
    :precondition (exists (?l - location) (and (receptacleAtLocation ?r ?l) (atLocation ?a ?l)))
    :effect (checked ?r))
  (:action examineObject
    :parameters (?a - agent ?o - object)
    :precondition (holds ?a ?o)
    :effect (checked ?o))

  ;; Walking and opening.
  (:action GotoLocation
    :parameters (?a - agent ?lStart - location ?lEnd - location ?r - receptacle)
    :precondition (and (receptacleAtLocation ?r ?lEnd) (atLocation ?a ?lStart))
    :effect (and (atLocation ?a ?lEnd) (not (atLocation ?a ?lStart)) (increase (total-cost) 1)))
  (:action OpenObject
    :parameters (?a - agent ?l - location ?r - receptacle)
    :precondition (and (atLocation ?a ?l) (receptacleAtLocation ?r ?l) (openable ?r) (not (opened ?r)))
    :effect (and (opened ?r) (increase (total-cost) 1)))
  (:action CloseObject
    :parameters (?a - agent ?l - location ?r - receptacle)
    :precondition (and (atLocation ?a ?l) (receptacleAtLocation ?r ?l) (openable ?r) (opened ?r))
    :effect (and (not (opened ?r)) (increase (total-cost) 1)))

  ;; One hand: an object is taken from a receptacle within reach, and put into one that is made for it.
  (:action PickupObject
    :parameters (?a - agent ?l - location ?o - object ?r - receptacle)
    :precondition (and (atLocation ?a ?l) (receptacleAtLocation ?r ?l) (inReceptacle ?o ?r) (pickupable ?o)
                       (or (opened ?r) (not (openable ?r))) (not (holdsAny ?a)))
    :effect (and (holds ?a ?o) (holdsAny ?a) (not (inReceptacle ?o ?r)) (not (objectAtLocation ?o ?l))
                 (increase (total-cost) 1)))
  (:action PutObject
    :parameters (?a - agent ?l - location ?o - object ?r - receptacle ?kind - otype ?place - rtype)
    :precondition (and (atLocation ?a ?l) (receptacleAtLocation ?r ?l) (holds ?a ?o) (objectType ?o ?kind)
                       (receptacleType ?r ?place) (canContain ?place ?kind) (or (opened ?r) (not (openable ?r))))
    :effect (and (inReceptacle ?o ?r) (objectAtLocation ?o ?l) (not (holds ?a ?o)) (not (holdsAny ?a))
                 (increase (total-cost) 1)))

  ;; What is done with things. Sink, microwave and fridge treat what is in the hand.
  (:action CleanObject
    :parameters (?a - agent ?l - location ?r - receptacle ?o - object)
    :precondition (and (atLocation ?a ?l) (receptacleAtLocation ?r ?l) (receptacleType ?r SinkBasinType) (holds ?a ?o)
                       (cleanable ?o))
    :effect (and (isClean ?o) (increase (total-cost) 5)))
  (:action HeatObject
    :parameters (?a - agent ?l - location ?r - receptacle ?o - object)
    :precondition (and (atLocation ?a ?l) (receptacleAtLocation ?r ?l) (receptacleType ?r MicrowaveType) (holds ?a ?o)
                       (heatable ?o))
    :effect (and (isHot ?o) (not (isCool ?o)) (increase (total-cost) 5)))
  (:action CoolObject
    :parameters (?a - agent ?l - location ?r - receptacle ?o - object)
    :precondition (and (atLocation ?a ?l) (receptacleAtLocation ?r ?l) (receptacleType ?r FridgeType) (holds ?a ?o)
                       (coolable ?o))
    :effect (and (isCool ?o) (not (isHot ?o)) (increase (total-cost) 5)))
  (:action ToggleObject
    :parameters (?a - agent ?l - location ?o - object ?r - receptacle)
    :precondition (and (atLocation ?a ?l) (receptacleAtLocation ?r ?l) (inReceptacle ?o ?r) (toggleable ?o))
    :effect (and (isToggled ?o) (increase (total-cost) 5)))
  (:action SliceObject
    :parameters (?a - agent ?l - location ?co - object ?ko - object)
    :precondition (and (atLocation ?a ?l) (objectAtLocation ?co ?l) (sliceable ?co) (holds ?a ?ko)
                       (or (objectType ?ko KnifeType) (objectType ?ko ButterKnifeType)))
    :effect (and (isSliced ?co) (increase (total-cost) 5))))
