class OrdersController < ApplicationController
  SLOW = 30

  def index
    orders = Order.open.order(:id)
    logger.info("Found #{orders.size} open orders")
    logger.warn("#{orders.size} open orders on one page, consider paging") if orders.size > SLOW
    render json: orders
  end

  def show
    render json: Order.find(params[:id])
  end

  def create
    order = Order.create!(params.permit(:customer, :grams))
    render json: order, status: :created
  end

  def report
    orders = Order.open.group(:customer).sum(:grams)
    render json: { customers: orders.size, grams: orders.values.sum, largest: orders.max_by(&:last)&.first }
  end
end
