# A small, real Rails application in one file: a shop with a few pages, some of which go wrong.
require "action_controller/railtie"
require "securerandom"

# The journal gets each line when it is written, not when a buffer is full.
$stdout.sync = true

class Shop < Rails::Application
  config.root = __dir__
  config.eager_load = true
  config.secret_key_base = ENV.fetch("SECRET_KEY_BASE") { SecureRandom.hex(64) }
  config.logger = ActiveSupport::TaggedLogging.new(ActiveSupport::Logger.new($stdout))
  config.log_level = :info
  config.log_tags = [:request_id]
  config.hosts.clear
  config.consider_all_requests_local = false
  config.action_dispatch.show_exceptions = true

  routes.append do
    root to: "products#index"
    get "/up", to: "status#up"
    get "/env/:name", to: "status#env"
    get "/log/:text", to: "status#log"
    get "/products/:id", to: "products#show"
    get "/orders", to: "orders#index"
    get "/orders/report", to: "orders#report"
  end
end

class StatusController < ActionController::Base
  def up
    render plain: "up"
  end

  # Tells whether a variable of the environment has reached the application.
  def env
    render plain: ENV.fetch(params[:name], "(not set)")
  end

  # Writes one line of the caller's choice, for tests that follow the log.
  def log
    logger.info(params[:text])
    render plain: "logged"
  end
end

class ProductsController < ActionController::Base
  NAMES = ["Robusto", "Corona", "Panatela", "Churchill", "Toro"].freeze

  def index
    logger.info("Listing #{NAMES.size} products")
    render json: NAMES.each_with_index.map { |name, id| { id: id, name: name } }
  end

  def show
    name = NAMES[Integer(params[:id], 10)]
    raise ActionController::RoutingError, "No product with id=#{params[:id]}" unless name

    logger.info("Product #{params[:id]} from cache (#{rand(1..4)}.#{rand(10)}ms)")
    render json: { id: params[:id], name: name }
  end
end

class OrdersController < ActionController::Base
  def index
    count = rand(3..40)
    logger.info("Found #{count} open orders")
    logger.warn("Order list took #{rand(200..900)}ms, consider paging") if count > 30
    render json: { open: count }
  end

  # Fails as real code does: with a stack trace from a few calls down.
  def report
    render json: { average: average([]) }
  end

  private

  def average(orders)
    total(orders) / orders.size
  end

  def total(orders)
    orders.sum
  end
end

Rails.application.initialize!
run Rails.application
